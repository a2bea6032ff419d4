"""The loop that asks and tells. It never imports Keras; it is the only writer of the study."""

import concurrent.futures
import contextlib
import time
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import optuna
import pebble
from optuna.trial import TrialState

from hpo.config import StudyConfig
from hpo.evaluation import Job, attempt
from hpo.facts import Facts, prepare
from hpo.measurements import write_atomically
from hpo.space import Space, first_candidates, make_space, parameters, sibling_heads, suggest
from hpo.stopping import Reached, decide, rungs
from hpo.workers import Workers
from models.candidate import Candidate
from studies.records import (
    DUPLICATE_OF,
    INTERRUPTED,
    RETRY_OF,
    WORKER_DIED,
    Failure,
    Outcome,
    TrialRecord,
    read_study,
    read_trial,
)
from studies.storage import database_lock, open_storage, open_study, storage_trouble, writer_lock

ALIKE_IN_A_ROW = 3  # failures of one kind that stop the study
POLL_SECONDS = 0.2


class StudyStopped(RuntimeError):
    """The study cannot go on; the message is one line with the reason, `records` are its trials so far."""

    def __init__(self, reason: str, records: list[TrialRecord]):
        super().__init__(reason)
        self.records = records


class Display(Protocol):
    """What the search tells whoever watches."""

    def note(self, text: str) -> None: ...
    def waiting(self, text: str) -> None: ...
    def prepared(self, config: StudyConfig, facts: Facts, records: list[TrialRecord]) -> None: ...
    def tick(self, running: Mapping[int, Path]) -> None: ...
    def told(self, record: TrialRecord, records: list[TrialRecord]) -> None: ...


def fingerprint(config: StudyConfig, facts: Facts, space: Space) -> dict[str, Any]:
    """Everything that makes the numbers of two trials comparable; a study never mixes two of these."""
    return {
        "backbone": config.backbone,
        "weights": facts.weights_digest,
        "dataset": facts.dataset,
        "dataset_digest": facts.dataset_digest,
        "split": facts.split_digest,
        "train_size": facts.n_train,
        "val_size": facts.n_val,
        "space": space.describe(),
        "epochs": config.epochs,
        "batch_size": config.batch_size,
        "seed": config.seed,
        "max_latency_ms": config.max_latency_ms,
        "max_gflops": config.max_gflops,
        "stopping": config.stopping,
        "reduction_factor": None if config.stopping == "none" else config.reduction_factor,
        "augment": config.augment,
        "views": None if config.augment == "none" else config.views,
        "cache_dtype": config.cache_dtype,
        **facts.machine,
    }


def run_study(config: StudyConfig, display: Display) -> list[TrialRecord]:
    """Bring the study to `config.trials` trials and return all of its records.

    Errors: StudyRefused, StorageError, DataError, ModelError, BadInput before the first trial; StudyStopped after
    three failures alike in a row; KeyboardInterrupt with everything in a state from which the same call continues.
    """
    folder_lock = config.study_dir / ".lock"
    with database_lock(config.storage, config.study_name), writer_lock(folder_lock, config.study_name):
        storage = open_storage(config.storage, write=True)
        log = config.study_dir / "worker.log"
        with Workers(config.workers, config.device, log) as workers, storage_trouble(config.storage):
            facts = _prepared(config, workers, display)
            space = make_space(config.backbone, facts.blocks, config.weights == "none", facts.resolutions)
            study = open_study(storage, config.study_name, fingerprint(config, facts, space))
            search = Search(config, study, facts, space, workers, display)
            search.recover()
            display.prepared(config, facts, search.records)
            try:
                search.run()
            except BaseException as error:
                workers.stop()
                search.recover()
                if isinstance(error, StudyStopped):
                    error.records = search.records
                raise
            return search.records


def _prepared(config: StudyConfig, workers: Workers, display: Display) -> Facts:
    """What the first look finds; Ctrl-C ends it, and so does the death of the worker."""
    text = "looking at data, weights and machine"
    display.note(text)
    future = workers.submit(prepare, config)
    while not future.done():
        concurrent.futures.wait([future], timeout=POLL_SECONDS)
        display.waiting(text)
    try:
        return future.result()
    except (pebble.ProcessExpired, BrokenProcessPool, MemoryError) as error:
        raise StudyStopped(f"before the first trial: {explain_death(error)}", []) from error


def make_sampler(name: str, seed: int, fixed: Mapping[str, Any] | None = None) -> optuna.samplers.BaseSampler:
    """A sampler by its name on the command line, in Optuna's defaults for several objectives.

    Parameters in `fixed` get the values given; the sampler proposes the others.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if fixed:
            return optuna.samplers.PartialFixedSampler(dict(fixed), make_sampler(name, seed))
        match name:
            case "tpe":
                return optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)
            case "nsga2":
                return optuna.samplers.NSGAIISampler(seed=seed)
            case "nsga3":
                return optuna.samplers.NSGAIIISampler(seed=seed)
            case "gp":
                return optuna.samplers.GPSampler(seed=seed)
            case "random":
                return optuna.samplers.RandomSampler(seed=seed)
    raise ValueError(f"sampler must be tpe, nsga2, nsga3, random or gp. Received: {name!r}")


@dataclass(frozen=True)
class Leg:
    """A trial on its way to its next rung, or to its end."""

    trial: optuna.Trial
    job: Job
    until: int  # epoch

    def joins(self, other: "Leg") -> bool:
        """Whether the two can be trained together: heads on the same features, equally far."""
        mine, theirs = self.job.candidate, other.job.candidate
        heads = mine.unfreeze_depth == theirs.unfreeze_depth == 0
        return heads and mine.resolution == theirs.resolution and self.until == other.until


class Search:
    """One study being brought to its wanted number of trials."""

    def __init__(
        self,
        config: StudyConfig,
        study: optuna.Study,
        facts: Facts,
        space: Space,
        workers: Workers,
        display: Display,
    ):
        self.config, self.study, self.facts, self.space = config, study, facts, space
        self.workers, self.display = workers, display
        self.folder = config.study_dir / "trials"
        self.rungs = () if config.stopping == "none" else rungs(config.epochs, config.reduction_factor)
        self.waiting: list[Leg] = []  # asked for, or past a rung, and not yet with a worker
        self.running: dict[concurrent.futures.Future, list[Leg]] = {}
        self.failures_alike: list[str] = []
        self.records: list[TrialRecord] = []

    def run(self) -> None:
        self._queue_first()
        end = time.monotonic() + (self.config.timeout or float("inf"))
        self.records = read_study(self.study)
        while True:
            while len(self.running) < max(1, self.config.workers):
                if not self.waiting and time.monotonic() < end:
                    self._ask()
                if not self.waiting:
                    break
                self._send()
            if not self.running:
                return
            concurrent.futures.wait(self.running, POLL_SECONDS, concurrent.futures.FIRST_COMPLETED)
            for future in [one for one in self.running if one.done()]:  # wait() does not name cancelled ones
                self._receive(future)
            self._give_up_stalled()
            self.display.tick(
                {leg.job.number: legs[0].job.progress_path for legs in self.running.values() for leg in legs}
            )

    def _queue_first(self) -> None:
        for candidate in first_candidates(self.space):
            self.study.enqueue_trial(parameters(candidate), skip_if_exists=True)

    def _wanted(self) -> int:
        """Trials still to be asked for."""
        legs = len(self.waiting) + sum(len(legs) for legs in self.running.values())
        return self.config.trials - sum(record.counts for record in self.records) - legs

    def _ask(self) -> None:
        """Put the next trial into `waiting`; if it trains only its head, others of its kind with it.

        Such heads cost little more together than one alone. What lies queued (known good candidates, trials that
        were interrupted) goes first, so nothing is asked for beside a queue.
        """
        while not self.waiting and self._wanted() > 0:  # an exact duplicate ends at once
            self._ask_one({})
        if not self.waiting or self.waiting[0].job.candidate.unfreeze_depth:
            return
        fixed = sibling_heads(self.waiting[0].job.candidate)
        for _ in range(min(self.config.heads - 1, self._wanted())):
            if self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
                return
            self._ask_one(fixed)

    def _ask_one(self, fixed: Mapping[str, Any]) -> None:
        # A new sampler for each trial, seeded by how many trials count or are under way: a study that was killed and
        # continued proposes what it would have proposed anyway, and a re-created sampler does not repeat its draws.
        count = self.config.trials - self._wanted()
        self.study.sampler = make_sampler(self.config.sampler, (self.config.seed * 1_000_003 + count) % 2**32, fixed)
        trial = self.study.ask()
        candidate = suggest(trial, self.space)
        trial.set_user_attr("candidate", candidate.to_dict())
        job = Job(self.config, self.study.user_attrs["study_id"], trial.number, candidate, self.facts, self.folder)
        twin = self._same_as(candidate)
        if twin is not None:
            trial.set_user_attr(DUPLICATE_OF, twin)
            self.study.tell(trial, state=TrialState.PRUNED)
            self.display.told(self._renew(trial.number), self.records)
        else:
            self.waiting.append(Leg(trial, job, self._next_stop(0)))
            self._renew(trial.number)

    def _same_as(self, candidate: Candidate) -> int | None:
        """The number of a trial of the same candidate that has its numbers or is about to."""
        for record in self.records:
            if record.candidate == candidate and record.state in ("complete", "stopped", "infeasible", "running"):
                return record.number
        return None

    def _next_stop(self, epoch: int) -> int:
        """The first rung after an epoch, or the last epoch."""
        return next((rung for rung in self.rungs if rung > epoch), self.config.epochs)

    def _send(self) -> None:
        """Give a worker the first of those that wait, with all that can be trained together with it."""
        first = self.waiting[0]
        legs = [first, *(leg for leg in self.waiting[1:] if leg.joins(first))][: self.config.heads]
        self.waiting = [leg for leg in self.waiting if leg not in legs]
        path = first.job.progress_path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}", encoding="utf-8")  # the clock of the stall timeout starts here
        future = self.workers.submit(attempt, [leg.job for leg in legs], first.until)
        self.running[future] = legs

    def _receive(self, future: concurrent.futures.Future) -> None:
        """Take in what a worker brings back."""
        legs = self.running.pop(future)
        results: list[Outcome | Failure]
        try:
            results = future.result()
        except concurrent.futures.CancelledError:
            silent = Failure("stalled", f"no sign of life for {self.config.stall_timeout:g} s", seed=self.config.seed)
            results = [silent] * len(legs)
        except (pebble.ProcessExpired, BrokenProcessPool) as error:
            results = [Failure(WORKER_DIED, explain_death(error), seed=self.config.seed)] * len(legs)
        legs[0].job.progress_path.unlink(missing_ok=True)
        going_on = []
        for leg, result in zip(legs, results, strict=True):
            if isinstance(result, Outcome) and result.feasible and len(result.curve) < self.config.epochs:
                if (following := self._at_rung(leg, result)) is not None:
                    going_on.append(following)
            else:
                self._tell(leg, result)
        self.waiting = going_on + self.waiting

    def _at_rung(self, leg: Leg, outcome: Outcome) -> Leg | None:
        """Whether a trial goes on from its rung: the next leg, or None if it was stopped."""
        for key, value in outcome.user_attrs().items():
            if key in ("measurement", "learning_curve"):  # what others are compared with
                leg.trial.set_user_attr(key, value)
        self._renew(leg.trial.number)
        reached = reached_at(self.records, leg.until)
        own = next(one for one in reached if one.number == leg.trial.number)
        others = [one for one in reached if one is not own]
        decision = decide(self.config.stopping, own, others, self.config.reduction_factor)
        if decision.stop:
            self._tell(leg, replace(outcome, stopped=f"stopped at epoch {leg.until}: {decision.why}"))
            return None
        job = replace(leg.job, spent=outcome.seconds)
        return replace(leg, job=job, until=self._next_stop(leg.until))

    def _tell(self, leg: Leg, result: Outcome | Failure) -> None:
        """Tell the study how a trial ended; what it leaves is on disk before."""
        trial, job = leg.trial, leg.job
        if isinstance(result, Outcome):
            if result.stopped:
                write_atomically(job.outcome_path, result.to_json())
            tell_outcome(trial, result)
            self.failures_alike = []
        else:
            self._fail(trial, result)
            alike = result.kind in self.failures_alike[-1:]
            self.failures_alike = [*self.failures_alike, result.kind] if alike else [result.kind]
            write_atomically(job.outcome_path.with_suffix(".error.txt"), result.traceback or result.reason)
        record = self._renew(trial.number)
        if record.counts:  # else it is tried again, and goes on from there
            job.checkpoint_path.unlink(missing_ok=True)
        self.display.told(record, self.records)
        if len(self.failures_alike) >= ALIKE_IN_A_ROW:
            details = job.outcome_path.with_suffix(".error.txt")
            reason = f"{ALIKE_IN_A_ROW} trials in a row failed alike ({record.reason}); details in {details}"
            raise StudyStopped(reason, self.records)

    def _renew(self, number: int) -> TrialRecord:
        """Read one trial, and those that were added since, into `self.records`."""
        trials = self.study.get_trials(deepcopy=False)
        self.records += [read_trial(trial) for trial in trials[len(self.records) :]]
        self.records[number] = read_trial(trials[number])
        return self.records[number]

    def _give_up_stalled(self) -> None:
        for future, legs in list(self.running.items()):
            with contextlib.suppress(FileNotFoundError):  # it has just ended
                if time.time() - legs[0].job.progress_path.stat().st_mtime > self.config.stall_timeout:
                    future.cancel()  # pebble ends the worker and starts another

    def _fail(self, trial: optuna.Trial, failure: Failure) -> None:
        """FAIL with all that is known. What died with its process is queued again, once, before it is told."""
        trials = self.study.get_trials(deepcopy=False)
        frozen = trials[trial.number]
        if failure.kind in (INTERRUPTED, WORKER_DIED) and RETRY_OF not in frozen.user_attrs:
            queued = {other.user_attrs.get(RETRY_OF) for other in trials}
            fixed = {**frozen.system_attrs.get("fixed_params", {}), **frozen.params}
            if fixed and frozen.number not in queued:
                self.study.enqueue_trial(fixed, user_attrs={RETRY_OF: frozen.number})
        for key, value in failure.user_attrs().items():
            trial.set_user_attr(key, value)
        self.study.tell(trial, state=TrialState.FAIL)

    def recover(self) -> None:
        """Settle trials that no one runs any more: told from their outcome file if it is there, else failed.

        Only the holder of the lock calls this, so every RUNNING trial is a left-over.
        """
        for frozen in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            trial = optuna.Trial(self.study, frozen._trial_id)
            outcome = self._left_outcome(frozen)
            if outcome is not None:
                tell_outcome(trial, outcome)
                self.display.note(f"trial {frozen.number}: result found on disk")
            else:
                self._fail(trial, Failure(INTERRUPTED, "the run ended before this trial did"))
                self.display.note(
                    f"trial {frozen.number}: interrupted; queued again"
                    if RETRY_OF not in frozen.user_attrs
                    else f"trial {frozen.number}: interrupted a second time; not tried again"
                )
        self.running.clear()
        self.waiting.clear()
        self.records = read_study(self.study)

    def _left_outcome(self, frozen: optuna.trial.FrozenTrial) -> Outcome | None:
        path = self.folder / f"{frozen.number:05d}.json"
        try:
            outcome = Outcome.from_json(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:  # of another version of this program, or not ours
            self.display.note(
                f"{path} is not a result of this program and is not used: {type(error).__name__}: {error}"
            )
            return None
        mine = (
            outcome.study_id == self.study.user_attrs["study_id"] and read_trial(frozen).candidate == outcome.candidate
        )
        return outcome if mine else None  # else it was left by an earlier study of the same name


def reached_at(records: Sequence[TrialRecord], epoch: int) -> list[Reached]:
    """What every trial that was trained so far had reached by the end of an epoch."""
    found = []
    for record in records:
        if record.measurement is not None and len(record.learning_curve) >= epoch:
            accuracy = max(point["val_accuracy"] for point in record.learning_curve[:epoch])
            cost = record.measurement
            found.append(Reached(record.number, accuracy, cost.latency_ms, float(cost.flops)))
    return found


def tell_outcome(trial: optuna.Trial, outcome: Outcome) -> None:
    """Write everything about a finished trial, and its state last. Can be repeated after a kill in the middle."""
    for key, value in outcome.user_attrs().items():
        trial.set_user_attr(key, value)
    known = trial.constraints
    for key, value in outcome.constraints.items():
        if key not in known:
            trial.set_constraint(key, value)
    if outcome.constraints:
        # optuna-dashboard 0.21 reads this older attribute, not what set_constraint writes
        trial.storage.set_trial_system_attr(trial._trial_id, "constraints", list(outcome.constraints.values()))
    if outcome.feasible and not outcome.stopped:
        trial.study.tell(trial, values=outcome.values())
    else:
        trial.study.tell(trial, state=TrialState.PRUNED)


def explain_death(error: BaseException) -> str:
    """Why there is no answer from a worker, in one line."""
    if isinstance(error, MemoryError):
        return "out of memory"
    how = ""
    if isinstance(error, pebble.ProcessExpired):
        how = f" (signal {-error.exitcode})" if error.exitcode < 0 else f" (exit code {error.exitcode})"
    return f"the worker process died{how}; out of memory is a common cause, see worker.log"
