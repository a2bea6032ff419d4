"""The loop that asks and tells. It never imports Keras; it is the only writer of the study."""

import concurrent.futures
import contextlib
import time
import warnings
from collections.abc import Mapping
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, Protocol

import optuna
import pebble
from optuna.trial import TrialState

from hpo.config import StudyConfig
from hpo.evaluation import Facts, Job, attempt, prepare
from hpo.measurements import write_atomically
from hpo.space import Space, first_candidates, make_space, parameters, suggest
from hpo.workers import Workers
from studies.records import INTERRUPTED, RETRY_OF, WORKER_DIED, Failure, Outcome, TrialRecord, read_study, read_trial
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


def make_sampler(name: str, seed: int) -> optuna.samplers.BaseSampler:
    """A sampler by its name on the command line, in Optuna's defaults for several objectives."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
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
        self.running: dict[concurrent.futures.Future, tuple[optuna.Trial, Job]] = {}
        self.failures_alike: list[str] = []
        self.records: list[TrialRecord] = []

    def run(self) -> None:
        self._queue_first()
        end = time.monotonic() + (self.config.timeout or float("inf"))
        self.records = read_study(self.study)
        finished = sum(record.counts for record in self.records)
        while True:
            free = max(1, self.config.workers) - len(self.running)
            wanted = self.config.trials - finished - len(self.running)
            if time.monotonic() < end:
                for _ in range(min(free, wanted)):
                    self._ask()
            if not self.running:
                return
            concurrent.futures.wait(self.running, POLL_SECONDS, concurrent.futures.FIRST_COMPLETED)
            for future in [one for one in self.running if one.done()]:  # wait() does not name cancelled ones
                finished += self._tell(future)
            self._give_up_stalled()
            self.display.tick({job.number: job.progress_path for _, job in self.running.values()})

    def _queue_first(self) -> None:
        for candidate in first_candidates(self.space):
            self.study.enqueue_trial(parameters(candidate), skip_if_exists=True)

    def _ask(self) -> None:
        # A new sampler for each trial, seeded by how many trials count so far: a study that was killed and continued
        # proposes what it would have proposed anyway, and a re-created sampler does not repeat its draws.
        count = sum(record.counts for record in self.records) + len(self.running)
        self.study.sampler = make_sampler(self.config.sampler, (self.config.seed * 1_000_003 + count) % 2**32)
        trial = self.study.ask()
        candidate = suggest(trial, self.space)
        trial.set_user_attr("candidate", candidate.to_dict())
        study_id = self.study.user_attrs["study_id"]
        job = Job(self.config, study_id, trial.number, candidate, self.facts, self.folder)
        job.progress_path.parent.mkdir(parents=True, exist_ok=True)
        job.progress_path.write_text("{}", encoding="utf-8")  # the clock of the stall timeout starts here
        self.running[self.workers.submit(attempt, job)] = (trial, job)

    def _tell(self, future: concurrent.futures.Future) -> bool:
        """Tell one result; whether the trial counts."""
        trial, job = self.running.pop(future)
        try:
            result: Outcome | Failure = future.result()
        except concurrent.futures.CancelledError:
            result = Failure("stalled", f"no sign of life for {self.config.stall_timeout:g} s", seed=job.seed)
        except (pebble.ProcessExpired, BrokenProcessPool) as error:
            result = Failure(WORKER_DIED, explain_death(error), seed=job.seed)
        if isinstance(result, Outcome):
            tell_outcome(trial, result)
            self.failures_alike = []
        else:
            self._fail(trial, result)
            alike = result.kind in self.failures_alike[-1:]
            self.failures_alike = [*self.failures_alike, result.kind] if alike else [result.kind]
            write_atomically(job.outcome_path.with_suffix(".error.txt"), result.traceback or result.reason)
        job.progress_path.unlink(missing_ok=True)
        record = self._renew(trial.number)
        self.display.told(record, self.records)
        if len(self.failures_alike) >= ALIKE_IN_A_ROW:
            details = job.outcome_path.with_suffix(".error.txt")
            reason = f"{ALIKE_IN_A_ROW} trials in a row failed alike ({record.reason}); details in {details}"
            raise StudyStopped(reason, self.records)
        return record.counts

    def _renew(self, number: int) -> TrialRecord:
        """Read one trial, and those that were added since, into `self.records`."""
        trials = self.study.get_trials(deepcopy=False)
        self.records += [read_trial(trial) for trial in trials[len(self.records) :]]
        self.records[number] = read_trial(trials[number])
        return self.records[number]

    def _give_up_stalled(self) -> None:
        for future, (_, job) in list(self.running.items()):
            with contextlib.suppress(FileNotFoundError):  # it has just ended
                if time.time() - job.progress_path.stat().st_mtime > self.config.stall_timeout:
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
    if outcome.feasible:
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
