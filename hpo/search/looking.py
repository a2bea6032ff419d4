"""The first look at data, weights and machine, by a worker: what a search and a map begin with."""

from collections.abc import Callable

from hpo.config import StudyConfig
from hpo.errors import WorkerLost
from hpo.worker.executor import Executor, Watcher, wait
from hpo.worker.facts import Facts
from hpo.worker.session import prepare
from studies.paths import StudyFiles

LEAST_TIMEOUT = 60.0  # seconds of silence: importing TensorFlow alone takes ten on a slow disk


def first_look(
    config: StudyConfig,
    workers: Executor,
    watcher: Watcher,
    text: str,
    prepare: Callable[[StudyConfig], Facts] = prepare,
    meanwhile: Callable[[], None] = lambda: None,
) -> Facts:
    """What the worker finds; what it logs meanwhile, decoded pictures and downloaded weights, is its sign of life.

    Args:
        config: of the study.
        workers: one of them looks.
        watcher: is told that it does.
        text: in these words.
        prepare: what is looked with.
        meanwhile: is called once while the worker looks, which imports Keras first.

    Raises:
        BadInput, DataError, ModelError: what it finds cannot be used.
        WorkerLost, TaskFailed: it finds nothing.
    """
    watcher.note(text)
    log = StudyFiles(config.study_dir).worker_log
    log.parent.mkdir(parents=True, exist_ok=True)
    log.touch()  # the clock of the timeout starts here
    timeout = max(config.stall_timeout, LEAST_TIMEOUT)

    def on_wait() -> None:
        watcher.waiting(text)
        for news in workers.news():
            watcher.note(news)

    try:
        future = workers.submit(prepare, config, progress=log)
        meanwhile()
        return wait(future, on_wait, log, timeout)
    except WorkerLost as lost:
        if lost.stalled:
            reason = f"{lost} while {text}; if they are on a slow drive, give a longer --stall-timeout"
            raise WorkerLost(reason, stalled=True) from lost
        raise
