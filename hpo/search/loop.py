"""The loop that asks and tells. It never imports Keras; it is the only writer of the study."""

import concurrent.futures
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState

from hpo.config import StudyConfig
from hpo.errors import StudyStopped, TaskFailed, WorkerLost
from hpo.search.asking import Asker
from hpo.search.hyperspace import AnySpace, HyperSpace
from hpo.search.known import Known
from hpo.search.mapping import Mapping, keep
from hpo.search.parts import REAL, Display, Leg, Parts
from hpo.search.space import Space, sibling_heads
from hpo.search.stopping import Judge, said
from hpo.search.telling import Streak, left_outcome, recover, tell_failure, tell_outcome
from hpo.worker import heartbeat
from hpo.worker.executor import Executor, answer, give_up_silent
from hpo.worker.facts import Facts
from hpo.worker.job import Job, Measured
from hpo.worker.rungs import rungs_of
from studies import attributes
from studies.fingerprint import val_size_of
from studies.latencies import latencies_of
from studies.one_writer import set_user_attrs
from studies.outcomes import WORKER_DIED, Failure, Outcome
from studies.paths import StudyFiles, write_text
from studies.probes import Map
from studies.records import TrialRecord, read_study, read_trial


class Search:
    """One study being brought to its wanted number of trials; `check` raises where it cannot be told any more."""

    def __init__(
        self,
        config: StudyConfig,
        study: optuna.Study,
        facts: Facts,
        space: AnySpace,
        workers: Executor,
        display: Display,
        parts: Parts = REAL,
        check: Callable[[], None] = lambda: None,
    ):
        self.config, self.study, self.facts, self.space = config, study, facts, space
        self.workers, self.display, self.parts, self.check = workers, display, parts, check
        self.folder = StudyFiles(config.study_dir).trials
        self.rungs = rungs_of(config, parts.first_rung)
        self.waiting: list[Leg] = []  # asked for, or past a rung, and not yet with a worker
        self.running: dict[concurrent.futures.Future, list[Leg]] = {}
        self.streak, self.silence = Streak(), heartbeat.Silence()
        self.latencies, self.val_size = latencies_of(study), val_size_of(study)
        self.known, self.study_id = Known(), study.user_attrs[attributes.STUDY_ID]
        self.mapping: Mapping | None = None
        self.asker = Asker(config, study, space, len(facts.class_names))

    @property
    def records(self) -> list[TrialRecord]:
        """Of all trials."""
        return self.known.records

    def run(self, mapping: Mapping | None = None) -> None:
        """Ask, send and take in until the study has its trials, or the time is over.

        Args:
            mapping: the map, which says what to begin with. What it says of one side is trained before the next side
                is mapped, and the sampler is asked when all are.

        Raises:
            StudyStopped: after three failures of one kind in a row, or where a side cannot be mapped.
        """
        self.mapping, self.known = mapping, Known(read_study(self.study))
        if mapping is None:
            self.asker.queue(self.parts.first_candidates(self.space))
        elif mapping.found.probes:
            self._begin_with(mapping.found)
        end = time.monotonic() + (self.config.timeout or float("inf"))
        try:
            while self._under_way(time.monotonic() < end):
                self._take_in()
                self._watch()
        finally:
            if mapping is not None:
                mapping.clear()

    def _under_way(self, more: bool) -> bool:
        """Give idle workers something to do, `more` than what was begun if that is wanted; whether there is any."""
        side = self.mapping.future if self.mapping else None
        while len(self.running) + (side is not None) < self.workers.slots:
            if more and not self.waiting:
                self._ask()
            if self.waiting:
                self._send()
            elif more and self.mapping and self.mapping.missing and side is None:
                side = self.mapping.submit(self.workers, self.parts.probe_side)
            else:
                break
        lost = not self.workers.slots and (bool(self.waiting) or (more and self._wanted() > 0))  # they may come back
        return bool(self.running) or side is not None or lost

    def _take_in(self) -> None:
        """Wait for a moment, and take in what is done."""
        side = self.mapping.future if self.mapping else None
        self.workers.wait_any([*self.running, *([side] if side else [])])
        for future in [future for future in self.running if future.done()]:  # wait() does not name cancelled ones
            self._receive(future)
        if self.mapping and side is not None and side.done():
            try:
                self.mapping.take(answer(side, self.config.stall_timeout))
            except (WorkerLost, TaskFailed) as error:
                text = f"the map could not be made: {error}; --no-map leaves it out"
                raise StudyStopped(text, []) from error
            self._begin_with(self.mapping.found)

    def _begin_with(self, found: Map) -> None:
        if found.complete:
            keep(self.study, found)
        self.asker.begin_with(found, self.records)

    def _watch(self) -> None:
        """See that the study can still be told, give up what is silent for too long, tell the display what runs."""
        self.check()
        for text in self.workers.news():
            self.display.note(text)
        shown: dict[str, Path] = {}
        for future, legs in self.running.items():
            progress = legs[0].job.files.progress
            give_up_silent(future, self.silence.of(progress), self.config.stall_timeout)
            shown |= {f"trial {leg.job.number}": progress for leg in legs}
        if self.mapping and self.mapping.future is not None:
            silent = self.silence.of(self.mapping.progress)
            give_up_silent(self.mapping.future, silent, self.config.stall_timeout)
            shown |= self.mapping.tick()
        self.display.tick(shown)

    def _wanted(self) -> int:
        """Trials still to be asked for."""
        legs = len(self.waiting) + sum(len(legs) for legs in self.running.values())
        return self.config.trials - self.known.counted - legs

    def _ask(self) -> None:
        """Put the next trial into `waiting`; if it trains only its head, others of its kind with it.

        Such heads cost little more together than one alone. What lies queued goes first, so nothing is asked for beside
        a queue, and nothing of the sampler before the map is complete.
        """
        mapped = self.mapping is None or not self.mapping.missing
        while not self.waiting and self._wanted() > 0 and (mapped or self.asker.queued):  # a duplicate ends at once
            self._ask_one({})
        if not self.waiting or not self.waiting[0].job.candidate.joins_heads or not isinstance(self.space, Space):
            return
        fixed = sibling_heads(self.waiting[0].job.of_backbone, self.space)
        for _ in range(min(self.config.heads - 1, self._wanted())):
            if self.asker.queued or not mapped:
                return
            self._ask_one(fixed)

    def _ask_one(self, fixed: dict[str, Any]) -> None:
        trial, candidate = self.asker.ask(self.records, self.config.trials - self._wanted(), fixed)
        job = Job(self.config, self.study_id, trial.number, candidate, self.facts, self.folder)
        twin = self.known.same_as(candidate)
        if twin is not None:
            trial.set_user_attr(attributes.DUPLICATE_OF, twin)
            self.study.tell(trial, state=TrialState.PRUNED)
            self.display.told(self._renew(trial.number), self.records)
        else:
            self.waiting.append(Leg(trial, job, self._next_stop(0), attributes.RETRY_OF in trial.user_attrs))
            self._renew(trial.number)

    def _next_stop(self, epoch: int) -> int:
        """The first rung after an epoch, or the last epoch."""
        return next((rung for rung in self.rungs if rung > epoch), self.config.epochs)

    def _send(self) -> None:
        """Give a worker the first of those that wait, with all that can be trained together with it.

        Where some workers only train, what it costs is measured before, by a task of its own.
        """
        first = self.waiting[0]
        legs = [first, *(leg for leg in self.waiting[1:] if leg.joins(first))][: self.config.heads]
        self.waiting = [leg for leg in self.waiting if leg not in legs]
        heartbeat.begin(first.job.files.progress)
        progress, measured = first.job.files.progress, first.job.measurement is not None
        if self.workers.is_mixed and not measured:
            self.running[self.workers.submit(self.parts.measure, [leg.job for leg in legs], progress=progress)] = legs
            return
        jobs, near = [self._judged(leg.job) for leg in legs], first.job.features
        future = self.workers.submit(
            self.parts.attempt, jobs, first.until, progress=progress, measures=not measured, near=near
        )
        self.running[future] = legs

    def _judged(self, job: Job) -> Job:
        """With what decides at its rungs, where it is trained in one go."""
        if not isinstance(self.space, HyperSpace) or not self.space.fits_itself:
            return job
        others = {
            rung: [trial for trial in self.known.reached(rung) if trial.number != job.number] for rung in self.rungs
        }
        return replace(job, judge=Judge(job.number, self.config.stopping, self.config.reduction_factor, others))

    def _receive(self, future: concurrent.futures.Future) -> None:
        """Take in what a worker brings back."""
        legs = self.running.pop(future)
        legs[0].job.files.progress.unlink(missing_ok=True)
        try:
            results: list[Outcome | Measured | Failure] = answer(future, self.config.stall_timeout)
        except WorkerLost as error:
            # Of several trials one may have stalled for all: each is tried again.
            self._lost(legs, "stalled" if error.stalled and len(legs) == 1 else WORKER_DIED, str(error))
            return
        except TaskFailed as error:  # outside of what a trial does: no room where its worker is, say
            self._lost(legs, error.kind, error.reason)
            return
        paused: list[tuple[Leg, Outcome]] = []
        measured: list[Leg] = []
        for leg, result in zip(legs, results, strict=True):
            if isinstance(result, Measured):
                measured.append(replace(leg, job=replace(leg.job, **vars(result))))
            elif isinstance(result, Outcome) and result.goes_on(self.config.epochs):
                self._note(leg, result)
                paused.append((leg, result))
            else:
                self._tell(leg, result)
                self.streak.add(result, leg.job.files.error)
        # Only now, so that each of those trained together is compared with all the others.
        going_on = [self._at_rung(leg, outcome) for leg, outcome in paused]
        self.waiting = measured + [leg for leg in going_on if leg is not None] + self.waiting
        self.streak.check(self.records)

    def _lost(self, legs: Sequence[Leg], kind: str, reason: str) -> None:
        """Nothing came back: one failure for all that were trained together, however many they are."""
        failure = Failure(kind, reason, seed=self.config.seed)
        trials = self.study.get_trials(deepcopy=False)
        for leg in legs:
            left = left_outcome(self.study, trials[leg.trial.number], self.folder, self.display.note)
            self._tell(leg, left or failure)  # one of them may have ended before
        self.streak.add(failure, legs[0].job.files.error)
        self.streak.check(self.records)

    def _note(self, leg: Leg, outcome: Outcome) -> None:
        """Write down what a trial under way has reached: what others are compared with, and what it took."""
        reached = (attributes.MEASUREMENT, attributes.LEARNING_CURVE, attributes.SECONDS)
        set_user_attrs(leg.trial, {key: value for key, value in outcome.user_attrs().items() if key in reached})
        self._renew(leg.trial.number)

    def _at_rung(self, leg: Leg, outcome: Outcome) -> Leg | None:
        """Whether a trial goes on from its rung: the next leg, or None if it was stopped."""
        reached = self.known.reached(leg.until)
        own = next(trial for trial in reached if trial.number == leg.trial.number)
        others = [trial for trial in reached if trial is not own]
        decision = self.parts.decide(self.config.stopping, own, others, self.config.reduction_factor)
        if decision.stop:
            stopped = replace(outcome, stopped=said(leg.until, decision))
            self._tell(leg, stopped)
            self.streak.add(
                stopped, leg.job.files.error
            )  # it ended well: failures before and after it are not in a row
            return None
        job = replace(leg.job, spent=outcome.seconds)
        return replace(leg, job=job, until=self._next_stop(leg.until))

    def _tell(self, leg: Leg, result: Outcome | Failure) -> None:
        """Tell the study how a trial ended; what it leaves is on disk before."""
        trial, job = leg.trial, leg.job
        if isinstance(result, Outcome):
            if result.stopped:
                write_text(job.files.outcome, result.to_json())
            tell_outcome(trial, result)
        else:
            tell_failure(trial, result)
            write_text(job.files.error, result.traceback or result.reason)
        record = self._renew(trial.number)
        if record.counts:  # else it is tried again, and goes on from there
            job.checkpoint_path.unlink(missing_ok=True)
        self.display.told(record, self.records)

    def recover(self, withdrawn: bool = False) -> None:
        """Settle what no one runs any more; the study is then as a next run would find it.

        `withdrawn`: it was the user who ended the run.
        """
        recover(self.study, self.folder, self.display.note, withdrawn)
        self.running.clear()
        self.waiting.clear()
        self.known = Known(read_study(self.study))

    def _renew(self, number: int) -> TrialRecord:
        """Read one trial, and those that were added since, into `self.records`."""
        trials = self.study.get_trials(deepcopy=False)
        for trial in trials[len(self.records) :]:
            self.known.put(self._read(trial))
        self.known.put(self._read(trials[number]))
        return self.records[number]

    def _read(self, trial: optuna.trial.FrozenTrial) -> TrialRecord:
        return read_trial(trial, self.latencies, self.val_size)
