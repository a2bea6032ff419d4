"""What is remembered of an architecture."""

import dataclasses

import pytest

from hpo.worker.memory import Memory
from tests import made

KNOWN = {
    "latency": dataclasses.asdict(made.latency(1.5)),
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


def test_equal_networks_share_what_is_remembered(tmp_path):
    memory = Memory(tmp_path, {"device": "a"})
    for values in ("x", "y"):
        assert memory.shared(values) == values
        memory.remember(values, {"cost": KNOWN["cost"], "structure": "0123"})
    assert memory.shared("x") == memory.shared("y") == "structure/0123"


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"identity": 1}', '{"identity": {}, "known": {}}'])
def test_a_damaged_memory_is_measured_again(tmp_path, damage):
    memory = Memory(tmp_path, {"device": "a"})
    memory.remember("x", KNOWN)
    (path,) = (tmp_path / "latency").iterdir()
    path.write_text(damage)
    assert memory.recall("x") is None
    memory.remember("x", KNOWN)
    assert memory.recall("x") == KNOWN


def test_a_latency_that_is_none_is_measured_again(tmp_path):
    memory = Memory(tmp_path, {"device": "a"})
    for broken in ({"median_ms": 1.0}, KNOWN["latency"] | {"ms": 1.0}, KNOWN["latency"] | {"median_ms": 0.0}):
        memory.remember("x", KNOWN | {"latency": broken})
        assert memory.recall("x") is None
