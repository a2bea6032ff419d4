"""A search from the locks to the front measured again. Never imports Keras."""

import importlib

from hpo.config import StudyConfig
from hpo.errors import StudyStopped, TaskFailed, WorkerLost
from hpo.search.adopting import adopt, remember
from hpo.search.confirming import confirm_front
from hpo.search.fingerprint import as_begun, fingerprint
from hpo.search.hyperspace import AnySpace, HyperSpace
from hpo.search.looking import first_look
from hpo.search.mapping import Mapping
from hpo.search.parts import REAL, Display, Parts
from hpo.search.space import make_space
from hpo.worker.executor import Executor, wait
from hpo.worker.facts import Facts
from hpo.worker.pool import make_workers
from studies import attributes
from studies.errors import StorageError
from studies.paths import StudyFiles
from studies.probes import map_of
from studies.records import TrialRecord
from studies.storage import database_lock, open_storage, open_study, storage_trouble, watch, writer_lock


def run_search(config: StudyConfig, display: Display, parts: Parts = REAL, adopted: bool = False) -> list[TrialRecord]:
    """Bring the study to `config.trials` trials and return all of its records.

    Args:
        config: of the study.
        display: is told how it goes.
        parts: what workers are given to do.
        adopted: the study is to be made of what an earlier one left in its folder, see `hpo.search.adopting`.

    Raises:
        StudyRefused, StorageError, DataError, ModelError, BadInput: before the first trial.
        StudyStopped: after three failures of one kind in a row.
        StorageError: the database was deleted or replaced in the meantime.
        KeyboardInterrupt: with everything in a state from which the same call continues.
    """
    files = StudyFiles(config.study_dir)
    held = database_lock(config.storage, config.study_name)
    with held as lock, writer_lock(files.lock, config.study_name):
        storage = open_storage(config.storage, write=True)
        check = watch(config.storage, files.trials, lock)
        with storage_trouble(config.storage):
            config = as_begun(config, storage)
        made = make_workers(config, files.worker_log, parts.prepare)
        with made as workers, storage_trouble(config.storage):
            facts = _prepared(config, workers, display, parts)
            space = _space(config, facts, workers, display, parts)
            mark = fingerprint(config, facts, space).to_dict()
            from hpo.search.loop import Search  # is there by now, see `_import_more`

            check()  # preparing may have taken minutes
            study = open_study(storage, config.study_name, mark)
            if adopted:
                adopt(study, space, files, display.note)
            remember(study, files, display.note)
            study.set_user_attr(attributes.OPTIONS, config.model_dump(mode="json"))  # for what comes after the search
            search = Search(config, study, facts, space, workers, display, parts, check)
            search.recover()
            display.prepared(config, facts, search.records)
            try:
                search.run(Mapping(config, facts, display, map_of(study)) if config.is_mapped else None)
                records = confirm_front(study, config, facts, workers, display, parts)
                check()
                return records
            except StorageError:
                workers.stop()  # there is nothing left in which trials could be settled
                raise
            except BaseException as error:
                workers.stop()
                search.recover(withdrawn=isinstance(error, KeyboardInterrupt))
                if isinstance(error, StudyStopped):
                    error.records = search.records
                raise


def _space(config: StudyConfig, facts: Facts, workers: Executor, display: Display, parts: Parts) -> AnySpace:
    """What is searched; a HyperModel is asked for it."""
    if not config.is_hypermodel:
        return make_space(config, facts.stages, facts.resolutions, facts.class_token)
    text = f"building {config.backbone} to see what it asks for"
    try:
        found = wait(workers.submit(parts.explore, config), lambda: display.waiting(text))
    except (WorkerLost, TaskFailed) as error:
        raise StudyStopped(f"before the first trial: {error}", []) from error
    space = HyperSpace.of(config.backbone, found)
    names = dict.fromkeys(each.name for each in space.asked if each.kind != "Fixed")
    display.note(f"{config.backbone} asks for {', '.join(names) or 'no hyperparameters'}")
    return space


def _prepared(config: StudyConfig, workers: Executor, display: Display, parts: Parts) -> Facts:
    """What the first look finds; Ctrl-C ends it, and so does the death of the worker."""
    try:
        text = "looking at data, weights and machine"
        return first_look(config, workers, display, text, parts.prepare, _import_more)
    except (WorkerLost, TaskFailed) as error:
        raise StudyStopped(f"before the first trial: {error}", []) from error


def _import_more() -> None:
    """What asks and tells, with SciPy and scikit-learn for the planner: seconds that the first worker need not wait."""
    importlib.import_module("hpo.search.loop")
    importlib.import_module("sklearn.gaussian_process")
