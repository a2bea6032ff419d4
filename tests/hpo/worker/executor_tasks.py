"""What workers are given to do in tests of executors; of a module of its own, since a cluster's import it."""

import logging
import os
import threading
import time

from hpo.errors import DataError
from hpo.worker.facts import Facts
from hpo.worker.heartbeat import Heartbeat, Phase, SignOfLife

MACHINE = {"device": "test", "backend": "none", "dtype": "float32", "versions": {"keras": "0"}, "latency_protocol": 1}


def look(config):
    """Facts of a study, at once."""
    return Facts(
        "digits", "d" * 64, ("a", "b"), (8, 8, 1), 100, 20, "s" * 64, "none", 0, (16, 24, 32),
        (1, 2, 3, 4), (8, 16, 24, 32), None, "w" * 64, MACHINE,
    )  # fmt: skip


def out_of_memory():
    raise MemoryError("3 GiB")


def refused():
    raise DataError("no such folder")


def unpicklable():
    return threading.Lock()


def die_late():
    time.sleep(1.5)
    os._exit(3)


def tell_gpu(seconds):
    time.sleep(seconds)
    return os.getpid(), os.environ["CUDA_VISIBLE_DEVICES"]


def live(job, seconds):
    """Say so every 0.1 s."""
    beat, end = Heartbeat(job.files.progress), time.monotonic() + seconds
    while time.monotonic() < end:
        beat(SignOfLife(Phase.TRAIN, 1, 0.5))
        time.sleep(0.1)
    return job.number


def hang(job):
    Heartbeat(job.files.progress)(SignOfLife(Phase.TRAIN, 1, 0.5))
    time.sleep(120)


def leave(job, text):
    """A file in the study's folder, and a line in the log."""
    logging.getLogger("hpo.test").info("leaving %s", text)
    job.files.outcome.parent.mkdir(parents=True, exist_ok=True)
    job.files.outcome.write_text(text)


def count_on(job):
    """One more than what stands in the checkpoint, which is its text."""
    path = job.checkpoint_path
    number = int(path.read_text()) if path.exists() else 0
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(str(number + 1))
    return number + 1
