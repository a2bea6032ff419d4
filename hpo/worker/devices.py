"""What of a machine a worker uses, by variables that must stand before its backend is imported."""

import fcntl
import os
import re
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

LOOK_SECONDS = 20  # for the driver of a GPU to answer
GPUS = "CUDA_VISIBLE_DEVICES"
_held: list[int] = []  # descriptors of the lock that says which number this worker has


def environment(device: str) -> dict[str, str]:
    """Variables that must stand before Keras is imported: device, determinism, GPU memory shared by workers."""
    values = {
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_DETERMINISTIC_OPS": "1",
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    }
    if device == "cpu":
        values |= {GPUS: "-1", "JAX_PLATFORMS": "cpu"}
    elif device.startswith("gpu:"):
        values |= {GPUS: device.removeprefix("gpu:")}
    return values


def gpus_to_share(device: str, processes: int) -> tuple[str, ...]:
    """The GPUs among which workers are dealt out, each of which sees one; empty where all see the same.

    They are those that `CUDA_VISIBLE_DEVICES` names, else all that the driver lists, of the model of the first: a study
    has one device.

    Args:
        device: auto, cpu, gpu or gpu:N, as asked for.
        processes: number of workers.
    """
    if processes < 2 or device not in ("auto", "gpu"):
        return ()
    named, models = os.environ.get(GPUS), _models()
    if named is not None:
        seen = [name.strip() for name in named.split(",") if name.strip() not in ("", "-1")]
    else:
        seen = [name for name in models if name.isdecimal()]
    found = tuple(name for name in seen if models.get(name) == models.get(seen[0]))
    return found if len(found) > 1 else ()


def _models() -> Mapping[str, str]:
    """The model of each GPU of the machine, by its number and by its name; empty without NVIDIA's driver."""
    found: dict[str, str] = {}
    for line in _listed():  # GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-...)
        if match := re.fullmatch(r"GPU (\d+): (.*?)(?: \(UUID: (.*)\))?", line.strip()):
            number, model, name = match.groups()
            found |= {number: model, name or number: model}
    return found


def _listed() -> Sequence[str]:
    """A line for each GPU of the machine; none without NVIDIA's driver."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    try:
        done = subprocess.run([program, "--list-gpus"], capture_output=True, text=True, timeout=LOOK_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return [line for line in done.stdout.splitlines() if line.startswith("GPU ")] if done.returncode == 0 else ()


def take_gpu(gpus: Sequence[str], folder: Path, processes: int) -> None:
    """Choose this worker's GPU: that of its number, so that each GPU has as many workers, also when one is replaced.

    Args:
        gpus: from `gpus_to_share`.
        folder: of the lock files of this pool. Whoever holds one has its number, and a worker that died holds none.
        processes: number of workers, so of numbers.
    """
    while True:
        for number in range(processes):
            lock = os.open(folder / f"{number}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                continue
            _held.append(lock)
            os.environ[GPUS] = gpus[number % len(gpus)]
            return
        time.sleep(0.1)  # the one that this worker replaces is still ending
