"""models/device.py: what is known of the device, and calls that end when it has finished."""

import sys
import types

import keras
import numpy as np
import pytest

from models import ModelError, device
from models.device import compiled_call, cpu_name, device_facts, gpu_memory_mib, keep_to_share, sees_gpu


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


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """NVIDIA's program, saying what a test wants."""

    def say(text):
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\nprintf '{text}'\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))

    return say


ROWS = r"0, GPU-a, 81559\n1, GPU-b, 40960\n"


@pytest.mark.parametrize(
    ("named", "expected"),
    [(None, [81559, 40960]), ("1,0", [40960, 81559]), ("GPU-b", [40960]), ("-1", []), ("", []), ("7", [])],
)
def test_memory_of_the_gpus_that_are_seen_in_their_order(driver, monkeypatch, named, expected):
    driver(ROWS)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if named is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert gpu_memory_mib() == expected


@pytest.mark.parametrize("text", ["", "Failed to initialize NVML: Driver/library version mismatch", "0, GPU-a, [N/A]"])
def test_a_driver_that_does_not_tell_is_no_error(driver, text):
    driver(text)
    assert gpu_memory_mib() == []


@pytest.mark.parametrize(("share", "expected"), [("0.5", [("GPU:0", 36701)]), ("", []), (None, [])])
def test_tensorflow_is_kept_to_a_share_of_its_gpu(driver, monkeypatch, share, expected):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("JAX reads its share by itself")
    import tensorflow as tf

    driver(ROWS)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.delenv("HPO_GPU_SHARE", raising=False)
    if share is not None:
        monkeypatch.setenv("HPO_GPU_SHARE", share)
    limits = []
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [f"{kind}:0"])
    monkeypatch.setattr(
        tf.config,
        "set_logical_device_configuration",
        lambda gpu, parts: limits.append((gpu, parts[0].memory_limit)),
    )
    keep_to_share()
    assert limits == expected  # int(0.9 * 0.5 * 81559)
