"""The records of a study while it is searched, and what the loop asks of all of them for each trial.

What they add up to is kept as records come and change: with thousands of trials, going through all of them a dozen
times for each one takes tens of milliseconds.
"""

from collections.abc import Iterable, Sequence

from hpo.search.stopping import Reached, reached_at
from models.candidate import AnyCandidate
from studies.records import State, TrialRecord

# Of a candidate that has its numbers, is about to, or has failed, there is no second trial.
SETTLED = (State.COMPLETE, State.STOPPED, State.INFEASIBLE, State.RUNNING, State.FAILED)


class Known:
    """The records of a study's trials, by number.

    Args:
        records: of all trials so far.
    """

    def __init__(self, records: Iterable[TrialRecord] = ()):
        self.records: list[TrialRecord] = []
        self.counted = 0  # of the wanted number of trials
        self._alike: dict[AnyCandidate, set[int]] = {}  # numbers
        self._reached: dict[int, dict[int, Reached]] = {}  # by epoch and number
        for record in records:
            self.put(record)

    def put(self, record: TrialRecord) -> None:
        """Take in a record: of the next trial, or in place of the one that there is."""
        number = record.number
        if number < len(self.records):
            before = self.records[number]
            self.counted -= before.counts
            self._numbers_of(before).discard(number)
            self.records[number] = record
        else:
            self.records.append(record)
        self.counted += record.counts
        if record.state in SETTLED:
            self._numbers_of(record).add(number)
        for epoch, found in self._reached.items():
            found.pop(number, None)
            found.update({each.number: each for each in reached_at([record], epoch)})

    def _numbers_of(self, record: TrialRecord) -> set[int]:
        return set() if record.candidate is None else self._alike.setdefault(record.candidate, set())

    def same_as(self, candidate: AnyCandidate) -> int | None:
        """The number of the first trial of the same candidate that is settled."""
        return min(self._alike.get(candidate, ()), default=None)

    def reached(self, epoch: int) -> Sequence[Reached]:
        """See `hpo.search.stopping.reached_at`."""
        if epoch not in self._reached:
            self._reached[epoch] = {each.number: each for each in reached_at(self.records, epoch)}
        return list(self._reached[epoch].values())
