"""What workers are given to do in tests of executors; of a module of its own, since a cluster's import it."""

import dataclasses
import logging
import os
import threading
import time
from pathlib import Path

from hpo.errors import DataError
from hpo.worker import session
from hpo.worker.facts import Facts
from hpo.worker.heartbeat import Heartbeat, Phase, SignOfLife
from models import ModelError
from models.weights.loading import keras_models_folder

MACHINE = {"device": "test", "backend": "none", "dtype": "float32", "versions": {"keras": "0"}, "latency_protocol": 1}


def look(config):
    """Facts of a study, at once."""
    return Facts(
        "digits", "d" * 64, ("a", "b"), (8, 8, 1), 100, 20, "s" * 64, "none", 0, (16, 24, 32),
        (1, 2, 3, 4), (8, 16, 24, 32), None, "w" * 64, MACHINE,
    )  # fmt: skip


def _facts(config, **changes):
    return dataclasses.replace(look(config), **changes)


def _is_first(config):
    """Whether this is the first worker that looks."""
    config.cache_dir.mkdir(parents=True, exist_ok=True)
    try:
        (config.cache_dir / "first").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def look_at_two_devices(config):
    return look(config) if _is_first(config) else _facts(config, machine=MACHINE | {"device": "another"})


def look_at_two_data_sets(config):
    return look(config) if _is_first(config) else _facts(config, dataset_digest="e" * 64)


def look_with_another_keras(config):
    return look(config) if _is_first(config) else _facts(config, machine=MACHINE | {"versions": {"keras": "1"}})


def look_in_vain(config):
    raise DataError("no such folder")


def look_for_weights(config):
    path = keras_models_folder() / "made_up.h5"
    if not path.exists():
        raise ModelError("weights cannot be fetched", missing=path)
    return _facts(config, weights_digest=path.read_text())


def look_for_a_file(config):
    if not os.path.exists(config.weights):
        raise ModelError("no such weights file", missing=Path(config.weights))
    return look(config)


def weights_of(config):
    return Path(config.weights).read_text()


def pictures(config, side):
    """Sum and writability of what a task sees, and whether the folder is there at all."""
    data = session.current().data(config, side)
    return int(data.images.sum()), data.images.flags.writeable, os.path.isdir(config.dataset)


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
