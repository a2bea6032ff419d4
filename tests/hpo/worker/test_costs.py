"""What is remembered of an architecture, and the gate that keeps a machine quiet while one measures."""

import subprocess
import sys
import threading
import time

import pytest

from hpo.worker.costs import Gate, Memory, write_atomically

KNOWN = {
    "latency": {"median_ms": 1.5, "p10_ms": 1.0, "p90_ms": 2.0, "runs": 50},
    "cost": {"macs": 5, "flops": 10, "other_flops": 1, "parameters": 3},
}


def test_remembered_by_architecture_and_machine(tmp_path):
    memory = Memory(tmp_path, {"device": "a"})
    assert memory.recall("x/r32/h0") is None
    memory.remember("x/r32/h0", KNOWN)
    assert memory.recall("x/r32/h0") == KNOWN
    assert Memory(tmp_path, {"device": "a"}).recall("x/r32/h0") == KNOWN
    assert memory.recall("x/r64/h0") is None
    assert Memory(tmp_path, {"device": "b"}).recall("x/r32/h0") is None


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"identity": 1}', '{"identity": {}, "known": {}}'])
def test_a_damaged_memory_is_measured_again(tmp_path, damage):
    memory = Memory(tmp_path, {"device": "a"})
    memory.remember("x", KNOWN)
    (path,) = (tmp_path / "latency").iterdir()
    path.write_text(damage)
    assert memory.recall("x") is None
    memory.remember("x", KNOWN)
    assert memory.recall("x") == KNOWN


@pytest.mark.parametrize("part", ["latency", "cost"])
def test_half_of_it_is_measured_again(tmp_path, part):
    memory = Memory(tmp_path, {"device": "a"})
    memory.remember("x", KNOWN | {part: {}})
    assert memory.recall("x") is None


def test_atomic_write_replaces_whole_files(tmp_path):
    path = tmp_path / "new" / "a.json"
    write_atomically(path, "one")
    write_atomically(path, "two")
    assert path.read_text() == "two"
    assert list(path.parent.iterdir()) == [path]


TRAINER = """
import sys, time
from pathlib import Path
from hpo.worker.costs import Gate
with Gate(Path(sys.argv[1])) as gate, gate.training():
    print("training", flush=True)
    while True:
        time.sleep(0.01)  # a step
        gate.give_way()
        print(time.monotonic(), flush=True)
"""


def test_no_step_of_others_is_trained_while_one_measures(tmp_path):
    trainers = [
        subprocess.Popen([sys.executable, "-c", TRAINER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    try:
        steps = [[], []]

        def read(trainer, found):
            for line in trainer.stdout:
                if line[0].isdigit():
                    found.append(float(line))

        for trainer in trainers:
            assert trainer.stdout.readline() == "training\n"
        readers = [threading.Thread(target=read, args=pair) for pair in zip(trainers, steps, strict=True)]
        for reader in readers:
            reader.start()
        time.sleep(0.2)
        with Gate(tmp_path) as gate, gate.measuring():  # not starved, though two others always hold the room
            begin = time.monotonic()
            time.sleep(0.3)
            end = time.monotonic()
        time.sleep(0.2)
    finally:
        for trainer in trainers:
            trainer.kill()
            trainer.wait()
    for reader in readers:
        reader.join()
    for found in steps:
        assert [moment for moment in found if moment < begin]
        assert [moment for moment in found if moment > end]
        # one step may have been under way: it ends, and then waits at the gate
        assert len([moment for moment in found if begin + 0.02 < moment < end]) == 0
