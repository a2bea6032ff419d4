"""What of a machine a worker uses, by variables that must stand before its backend is imported."""


def environment(device: str) -> dict[str, str]:
    """Variables that must stand before Keras is imported: device, determinism, GPU memory shared by workers."""
    values = {
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_DETERMINISTIC_OPS": "1",
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    }
    if device == "cpu":
        values |= {"CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu"}
    elif device.startswith("gpu:"):
        values |= {"CUDA_VISIBLE_DEVICES": device.removeprefix("gpu:")}
    return values
