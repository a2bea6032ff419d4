"""The loop that asks and tells. It never imports Keras; it is the only writer of the study."""

import concurrent.futures
import contextlib
import time
import traceback
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import optuna
import pebble
from optuna.trial import TrialState

from hpo.config import StudyConfig
from hpo.evaluation import Facts, Job, evaluate, prepare
from hpo.measurements import write_atomically
from hpo.space import Space, first_candidates, make_space, parameters, suggest
from hpo.workers import Workers
from studies.records import INTERRUPTED, NOT_COUNTED, WORKER_DIED, Outcome, TrialRecord, read_study, read_trial
from studies.storage import open_storage, open_study, storage_trouble, writer_lock

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
        **{key: facts.machine[key] for key in ("device", "backend", "dtype", "versions")},
    }


def run_study(config: StudyConfig, display: Display) -> list[TrialRecord]:
    """Bring the study to `config.trials` trials and return all of its records.

    Errors: StudyRefused, StorageError, DataError, ModelError, BadInput before the first trial; StudyStopped after
    three failures alike in a row; KeyboardInterrupt with everything in a state from which the same call continues.
    """
    with writer_lock(config.storage, config.study_name):
        storage = open_storage(config.storage, write=True)
        log = config.study_dir / "worker.log"
        with Workers(config.workers, config.device, log) as workers, storage_trouble(config.storage):
            display.note("looking at data, weights and machine")
            facts = workers.submit(prepare, config).result()
            space = make_space(config.backbone, facts.blocks, config.weights == "none", facts.resolutions)
            study = open_study(storage, config.study_name, fingerprint(config, facts, space))
            search = Search(config, study, space, workers, display)
            search.recover()
            display.prepared(config, facts, search.records)
            try:
                search.run()
            except BaseException:
                workers.stop()
                search.recover()
                raise
            return search.records


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

    def __init__(self, config: StudyConfig, study: optuna.Study, space: Space, workers: Workers, display: Display):
        self.config, self.study, self.space = config, study, space
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
            done, _ = concurrent.futures.wait(
                self.running, timeout=POLL_SECONDS, return_when=concurrent.futures.FIRST_COMPLETED
            )
            for future in done:
                finished += self._tell(future)
            self._give_up_stalled()
            self.display.tick({job.number: job.progress_path for _, job in self.running.values()})

    def _queue_first(self) -> None:
        for candidate in first_candidates(self.space):
            self.study.enqueue_trial(parameters(candidate), skip_if_exists=True)

    def _ask(self) -> None:
        # A new sampler for each trial, seeded by how many there are: what is proposed does not depend on how often the
        # study was stopped and continued, and a re-created sampler does not repeat its draws.
        count = len(self.study.get_trials(deepcopy=False))
        seed = (self.config.seed * 1_000_003 + count) % 2**32
        self.study.sampler = make_sampler(self.config.sampler, seed)
        trial = self.study.ask()
        candidate = suggest(trial, self.space)
        trial.set_user_attr("candidate", candidate.to_dict())
        job = Job(
            self.config, self.study.user_attrs["study_id"], trial.number, candidate, self.space.resolutions, self.folder
        )
        job.progress_path.parent.mkdir(parents=True, exist_ok=True)
        job.progress_path.write_text("{}", encoding="utf-8")  # the clock of the stall timeout starts here
        self.running[self.workers.submit(evaluate, job)] = (trial, job)

    def _tell(self, future: concurrent.futures.Future) -> bool:
        """Tell one result; whether the trial counts."""
        trial, job = self.running.pop(future)
        try:
            outcome = future.result()
        except (KeyboardInterrupt, optuna.exceptions.StorageInternalError):
            raise
        except BaseException as error:
            kind, reason = explain(error, self.config.stall_timeout)
            details = job.outcome_path.with_suffix(".error.txt")
            write_atomically(details, "".join(traceback.format_exception(error)))
            self._fail(trial, kind, reason)
            self.failures_alike = [*self.failures_alike, kind] if kind in self.failures_alike[-1:] else [kind]
        else:
            tell_outcome(trial, outcome)
            self.failures_alike = []
        job.progress_path.unlink(missing_ok=True)
        record = self._renew(trial.number)
        self.display.told(record, self.records)
        if len(self.failures_alike) >= ALIKE_IN_A_ROW:
            raise StudyStopped(
                f"{ALIKE_IN_A_ROW} trials in a row failed alike ({record.reason}); "
                f"details in {job.outcome_path.with_suffix('.error.txt')}",
                self.records,
            )
        return record.counts

    def _renew(self, number: int) -> TrialRecord:
        """Read one trial, and those that were added since, into `self.records`."""
        trials = self.study.get_trials(deepcopy=False)
        self.records[number : number + 1] = [read_trial(trials[number])]
        self.records += [read_trial(trial) for trial in trials[len(self.records) :]]
        return self.records[number]

    def _give_up_stalled(self) -> None:
        for future, (_, job) in list(self.running.items()):
            with contextlib.suppress(FileNotFoundError):  # it has just ended
                if time.time() - job.progress_path.stat().st_mtime > self.config.stall_timeout:
                    future.cancel()  # pebble ends the worker and starts another

    def _fail(self, trial: optuna.Trial, kind: str, reason: str) -> None:
        """FAIL with its reason. What died with its process is queued again, once, before it is told."""
        frozen = self.study.get_trials(deepcopy=False)[trial.number]
        if kind in NOT_COUNTED and "retry_of" not in frozen.user_attrs:
            already = {other.user_attrs.get("retry_of") for other in self.study.get_trials(deepcopy=False)}
            fixed = {**frozen.system_attrs.get("fixed_params", {}), **frozen.params}
            if fixed and frozen.number not in already:
                self.study.enqueue_trial(fixed, user_attrs={"retry_of": frozen.number})
        trial.set_user_attr("failure", {"kind": kind, "reason": reason})
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
                self._fail(trial, INTERRUPTED, "the run ended before this trial did")
                self.display.note(
                    f"trial {frozen.number}: interrupted; queued again"
                    if "retry_of" not in frozen.user_attrs
                    else f"trial {frozen.number}: interrupted a second time; not tried again"
                )
        self.running.clear()
        self.records = read_study(self.study)

    def _left_outcome(self, frozen: optuna.trial.FrozenTrial) -> Outcome | None:
        try:
            outcome = Outcome.from_json((self.folder / f"{frozen.number:05d}.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
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


def explain(error: BaseException, stall_timeout: float) -> tuple[str, str]:
    """(kind, reason in one line) of a failed trial. Failures of the same kind in a row stop the study."""
    text = (str(error).strip().splitlines() or [""])[0][:300]
    name = type(error).__name__
    if isinstance(error, concurrent.futures.CancelledError):
        return "stalled", f"no sign of life for {stall_timeout:g} s"
    if isinstance(error, pebble.ProcessExpired):
        signal = f"signal {-error.exitcode}" if error.exitcode < 0 else f"exit code {error.exitcode}"
        return WORKER_DIED, f"the worker process died ({signal}); out of memory is a common cause"
    if isinstance(error, MemoryError) or name == "ResourceExhaustedError" or "RESOURCE_EXHAUSTED" in text:
        return "out of memory", f"out of memory: {text or name}"
    if name == "NonFiniteLoss":
        return "non-finite loss", text
    return name, f"{name}: {text}"
