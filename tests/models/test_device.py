"""models/device.py: what is known of the device, and calls that end when it has finished."""

import sys
import types

import keras
import numpy as np
import pytest

from models import ModelError, device
from models.device import compiled_call, cpu_name, device_facts, sees_gpu


def test_device_facts():
    facts = device_facts()
    assert list(facts) == ["backend", "device", "dtype", "versions"]
    assert (facts["backend"], facts["dtype"]) == (keras.backend.backend(), "float32")
    assert {"keras", "numpy", "python", facts["backend"]} == set(facts["versions"])
    assert facts["versions"]["keras"] == keras.version()
    if not sees_gpu():
        assert facts["device"] == cpu_name()


def test_the_cpu_and_the_cores_this_process_may_use(monkeypatch):
    monkeypatch.setattr(device.os, "sched_getaffinity", lambda pid: {0, 2, 3}, raising=False)
    assert cpu_name().endswith(", 3 cores")
    assert len(cpu_name()) > len(", 3 cores")


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_a_call_computes_what_the_model_does_once(dtype):
    pictures = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), dtype="uint8")
    inputs = keras.Input((4, 4, 3), dtype=dtype)
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(inputs)))
    call = compiled_call(model, pictures)
    expected = keras.ops.convert_to_numpy(model(pictures.astype(dtype), training=False))
    np.testing.assert_allclose(call(), expected, rtol=1e-6)


def test_another_backend_is_refused(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "numpy")
    with pytest.raises(ModelError, match="latency is measured with tensorflow, jax, torch. Received: numpy"):
        compiled_call(None, np.zeros((1, 2, 2, 3), "uint8"))


@pytest.mark.parametrize(("platforms", "expected"), [(["cpu"], False), (["cpu", "gpu"], True)])
def test_jax_is_asked_for_all_its_devices(monkeypatch, platforms, expected):
    """Asked for GPUs where there is none, JAX raises."""
    jax = types.SimpleNamespace(devices=lambda: [types.SimpleNamespace(platform=platform) for platform in platforms])
    monkeypatch.setitem(sys.modules, "jax", jax)
    monkeypatch.setattr("keras.backend.backend", lambda: "jax")
    assert sees_gpu() is expected
