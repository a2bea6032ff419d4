"""What a worker may use of its machine."""

import os
import signal
import time

import pebble
import pytest

from hpo.worker.devices import environment, gpus_to_share
from hpo.worker.pool import Workers


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        ("auto", {}),
        ("gpu", {}),
        ("cpu", {"CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu"}),
        ("gpu:1", {"CUDA_VISIBLE_DEVICES": "1"}),
    ],
)
def test_device_is_chosen_by_environment(device, expected):
    found = environment(device)
    assert {key: found.get(key) for key in ("CUDA_VISIBLE_DEVICES", "JAX_PLATFORMS") if key in found} == expected
    assert found["TF_DETERMINISTIC_OPS"] == "1"


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """NVIDIA's program that lists GPUs, saying what a test wants."""

    def say(text, code=0):
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\nprintf '{text}'\nexit {code}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    return say


TWO = r"GPU 0: NVIDIA A100 (UUID: GPU-1)\nGPU 1: NVIDIA A100 (UUID: GPU-2)\n"


@pytest.mark.parametrize(
    ("device", "processes", "text", "code", "expected"),
    [
        ("gpu", 4, TWO, 0, ("0", "1")),
        ("auto", 2, TWO, 0, ("0", "1")),
        ("gpu", 3, TWO + r"GPU 2: NVIDIA T4 (UUID: GPU-3)\n", 0, ("0", "1")),  # a study has one device
        ("gpu", 2, r"GPU 0: NVIDIA T4 (UUID: GPU-3)\nGPU 1: NVIDIA A100 (UUID: GPU-1)\n", 0, ()),
        ("auto", 1, TWO, 0, ()),  # one worker sees them all, as before
        ("gpu:1", 4, TWO, 0, ()),
        ("cpu", 4, TWO, 0, ()),
        ("gpu", 4, r"GPU 0: NVIDIA A100 (UUID: GPU-1)\n", 0, ()),
        ("gpu", 4, "NVIDIA-SMI has failed", 9, ()),
    ],
)
def test_workers_are_dealt_out_among_the_gpus_that_there_are(driver, device, processes, text, code, expected):
    driver(text, code)
    assert gpus_to_share(device, processes) == expected


@pytest.mark.parametrize(
    ("named", "expected"),
    [("1,0", ("1", "0")), ("2,5", ("2", "5")), ("GPU-1, GPU-2", ("GPU-1", "GPU-2")), ("3", ()), ("", ()), ("-1", ())],
)
def test_those_that_are_named_go_before_those_that_there_are(driver, monkeypatch, named, expected):
    driver(TWO)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert gpus_to_share("gpu", 4) == expected


def seen_by_four(workers, tasks):
    """By process, the GPU that it sees, of workers that are all kept busy until each has told."""
    futures = [workers.submit(tasks.tell_gpu, 1.0) for _ in range(4)]
    return dict(future.result(30) for future in futures)


def test_each_worker_sees_one_gpu_and_its_successor_the_same(tasks, tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    with Workers(4, "gpu", tmp_path / "worker.log") as workers:
        before = seen_by_four(workers, tasks)
        assert sorted(before.values()) == ["2", "2", "5", "5"]
        killed = [workers.submit(tasks.tell_gpu, 5.0) for _ in range(4)]
        time.sleep(1)
        os.kill(next(iter(before)), signal.SIGKILL)
        assert [isinstance(each.exception(30), pebble.ProcessExpired) for each in killed].count(True) == 1
        after = seen_by_four(workers, tasks)
    assert sorted(after.values()) == ["2", "2", "5", "5"]
    assert after.keys() != before.keys()
