"""Where a trial stands at a rung, on disk: the next task goes on from there, and so does a trial tried again."""

import contextlib
import json
import os
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from models.recipe import Epoch


@dataclass(frozen=True)
class Checkpoint:
    """Arrays in the order in which whoever trains wants them back, and the learning curve."""

    arrays: Sequence[np.ndarray]
    curve: Sequence[Epoch]


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Write through a temporary name: whoever reads sees all of it or the one before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    curve = json.dumps([asdict(point) for point in checkpoint.curve])
    arrays = {f"a{number}": np.asarray(array) for number, array in enumerate(checkpoint.arrays)}
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with part.open("wb") as file:
            np.savez(file, curve=np.array(curve), **arrays)  # type: ignore[arg-type]
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def load(path: Path) -> Checkpoint | None:
    """None if there is none, or it is damaged (a power cut may cut it off): the trial then begins anew."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile), path.open("rb") as file:
        stored = np.load(file, allow_pickle=False)
        arrays = [stored[f"a{number}"] for number in range(len(stored.files) - 1)]
        return Checkpoint(arrays, tuple(Epoch(**point) for point in json.loads(str(stored["curve"]))))
    return None
