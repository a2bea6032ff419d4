"""What a worker may use of its machine."""

import pytest

from hpo.worker.devices import environment


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
