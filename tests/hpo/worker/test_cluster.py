"""What a cluster alone asks for: workers that differ, and what they lack of pictures and weights.

What it shares with other executors is in `test_executor.py`, what it does when nodes are lost in `tests/faults`.
"""

import os
import time

import numpy as np
import pytest
from PIL import Image

from hpo.errors import BadField, DataError
from hpo.worker.cluster import ClusterWorkers
from hpo.worker.executor import wait

pytestmark = pytest.mark.usefixtures("ray")


@pytest.fixture
def config(configure):
    return configure(workers=2, executor="ray", device="cpu", study="one")


@pytest.fixture
def log(config):
    return config.study_dir / "worker.log"


def ready(workers, slots):
    """Wait until so many workers take tasks."""
    end = time.monotonic() + 60
    while workers.slots < slots and time.monotonic() < end:
        time.sleep(0.1)
    assert workers.slots == slots


def where(workers, times, **kind):
    """The processes that do tasks of a kind, many at once."""
    futures = [workers.submit(os.getpid, **kind) for _ in range(times)]
    return {wait(future) for future in futures}


def test_a_worker_on_another_device_only_trains(config, log, tasks):
    with ClusterWorkers(config, log, tasks.look_at_two_devices) as workers:
        ready(workers, 2)
        assert workers.is_mixed
        measuring, training = where(workers, 6), where(workers, 6, measures=False)
        assert len(measuring) == 1
        assert len(training) == 1  # the one that measures does nothing else
        assert measuring != training
    assert "takes tasks, but only trains: its device is not that on which the study measures" in log.read_text()


def test_a_worker_that_finds_other_data_is_not_used(config, log, tasks):
    with ClusterWorkers(config, log, tasks.look_at_two_data_sets) as workers:
        pid = wait(workers.submit(os.getpid))
        end, news = time.monotonic() + 60, []
        while not news and time.monotonic() < end:
            news += workers.news()
            time.sleep(0.1)
        assert len(news) == 1
        assert news[0].endswith("is not used: it has other data or weights than the study")
        assert workers.slots == 1
        assert where(workers, 4) == {pid}


def test_a_worker_with_another_version_of_keras_is_not_used(config, log, tasks):
    with ClusterWorkers(config, log, tasks.look_with_another_keras) as workers:
        wait(workers.submit(os.getpid))
        end, news = time.monotonic() + 60, []
        while not news and time.monotonic() < end:
            news += workers.news()
            time.sleep(0.1)
        assert [text.partition(" is not used: ")[2] for text in news] == ["it has other keras (1) than the study"]


def test_where_no_worker_can_be_used_the_first_reason_is_told(config, log, tasks):
    with ClusterWorkers(config, log, tasks.look_in_vain) as workers:
        for _ in range(2):  # also of what is asked for afterwards
            with pytest.raises(DataError, match="^no such folder$"):
                wait(workers.submit(os.getpid))


def test_the_node_that_measures_must_be_there(config, log, tasks):
    there = r"must be a node of the cluster: \S+ \([\d.]+\)\. Received: elsewhere$"
    with pytest.raises(BadField, match=there):
        ClusterWorkers(config.model_copy(update={"latency_node": "elsewhere"}), log, tasks.look)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("cpus_per_worker", 64, "must be at most 4, what the largest node has. Received: 64"),
        ("gpus_per_worker", 0.5, "must be at most 0, what the largest node has. Received: 0.5"),
    ],
)
def test_what_no_node_has_is_refused(config, log, tasks, field, value, said):
    with pytest.raises(BadField) as refused:
        ClusterWorkers(config.model_copy(update={field: value}), log, tasks.look)
    assert (refused.value.field, refused.value.text) == (field, said)


def test_pictures_that_a_node_lacks_are_read_there_without_a_copy(config, log, tasks, tmp_path):
    """The folder has a path that only this process can follow."""
    folder, rng, descriptor = tmp_path / "photos", np.random.default_rng(0), 913
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for number in range(20):
            pixels = rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    opened = os.open(folder, os.O_RDONLY)
    os.dup2(opened, descriptor)
    try:
        sent = type(config)(
            **{**config.model_dump(), "dataset": f"/proc/self/fd/{descriptor}", "resolutions": (64,), "workers": 1}
        )
        with ClusterWorkers(sent, log, tasks.look) as workers:
            total, writable, is_there = wait(workers.submit(tasks.pictures, sent, 64))
        assert total == tasks.pictures(sent, 64)[0]
    finally:
        os.close(descriptor)
        os.close(opened)
        tasks.session.current().forget()
    assert (writable, is_there) == (False, False)
    text = log.read_text()
    assert "pictures are sent through the object store" in text
    assert "32 pictures at 64 px go through the object store" in text


def test_weights_of_keras_that_a_node_lacks_are_sent_once(config, log, tasks, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "made_up.h5").write_text("f" * 64)
    with ClusterWorkers(config, log, tasks.look_for_weights) as workers:
        assert wait(workers.submit(tasks.look_for_weights, config)).weights_digest == "f" * 64
    assert "made_up.h5" in log.read_text()


def test_a_file_of_weights_that_a_node_lacks_has_another_path_there(config, log, tasks, tmp_path):
    """The path is one that only this process can follow."""
    (tmp_path / "mine.h5").write_text("weights")
    opened = os.open(tmp_path, os.O_RDONLY)
    os.dup2(opened, 914)
    path = "/proc/self/fd/914/mine.h5"
    try:
        sent = config.model_copy(update={"weights": path})
        with ClusterWorkers(sent, log, tasks.look_for_a_file) as workers:
            assert wait(workers.submit(tasks.weights_of, sent)) == "weights"
    finally:
        os.close(914)
        os.close(opened)
