"""Asking the study for candidates: those that lie queued, then what the sampler proposes."""

from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.trial import TrialState

from hpo.config import StudyConfig
from hpo.search.hyperspace import AnySpace
from hpo.search.planner import Memory
from hpo.search.planning import Looks, Outlook, make_planner
from hpo.search.samplers import make_sampler
from hpo.search.seeding import seeds
from hpo.search.space import Space
from models.candidate import AnyCandidate
from studies import attributes
from studies.probes import Map
from studies.records import TrialRecord


class Asker:
    """What asks one study.

    Args:
        config, study, space: of the search.
        classes: of the data.
    """

    def __init__(self, config: StudyConfig, study: optuna.Study, space: AnySpace, classes: int):
        self._config, self._study, self._space, self._classes = config, study, space, classes
        self._found: Map | None = None
        self._memory = Memory()
        self._looked_at: Map | None = None
        self._looks = Looks()  # at candidates, by that map

    @property
    def queued(self) -> bool:
        """Whether candidates wait to be asked for: known good ones, and trials that were interrupted."""
        return bool(self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,)))

    def queue(self, candidates: Sequence[AnyCandidate]) -> None:
        """Ask for these before all others, but for those that were queued before."""
        for candidate in candidates:
            self._study.enqueue_trial(self._space.parameters(candidate), skip_if_exists=True)

    def begin_with(self, found: Map, records: Sequence[TrialRecord]) -> None:
        """Queue what a map says to begin with; of one that is not complete yet, what its sides say."""
        self._found = found
        self.queue(seeds(found, self._mapped, self._outlook(found, records).allows))

    def ask(
        self, records: Sequence[TrialRecord], count: int, fixed: Mapping[str, Any]
    ) -> tuple[optuna.Trial, AnyCandidate]:
        """The next trial.

        A new sampler for each, seeded by how many trials count or are under way: it does not repeat the draws of
        another, and with one head at a time a study that was killed proposes what it would have proposed anyway.

        Args:
            records: of all trials so far.
            count: trials that count or are under way.
            fixed: parameters that are given.
        """
        seed = (self._config.seed * 1_000_003 + count) % 2**32
        self._study.sampler = self._sampler(seed, fixed, records)
        trial = self._study.ask()
        candidate = self._space.suggest(trial)
        trial.set_user_attr(attributes.CANDIDATE, candidate.to_dict())
        return trial, candidate

    @property
    def _mapped(self) -> Space:
        """The space of a study that has a map: that of a backbone."""
        assert isinstance(self._space, Space)
        return self._space

    def _sampler(
        self, seed: int, fixed: Mapping[str, Any], records: Sequence[TrialRecord]
    ) -> optuna.samplers.BaseSampler:
        if self.queued:  # Optuna has a sampler propose also where all is given
            return make_sampler("random", seed, fixed)
        if self._found is None or self._config.sampler not in ("auto", "planner"):
            return make_sampler(self._config.sampler, seed, fixed)
        outlook = self._outlook(self._found, records)
        return make_planner(outlook, self._mapped, self._config.epochs, seed, fixed, self._memory)

    def _outlook(self, found: Map, records: Sequence[TrialRecord]) -> Outlook:
        if self._looked_at is not found:
            self._looked_at, self._looks = found, Looks()
        return Outlook.after(records, found, self._mapped, self._config, self._classes, self._looks)
