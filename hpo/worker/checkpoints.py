"""Where a trial stands at a rung, on disk: the next task goes on from there, and so does a trial tried again."""

import contextlib
import hashlib
import json
import secrets
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

import numpy as np

from models.candidate import AnyCandidate
from models.training.recipe import Epoch
from studies import paths

_DIGEST = hashlib.sha256().digest_size


@dataclass(frozen=True)
class Checkpoint:
    """Arrays in the order in which whoever trains wants them back, and the learning curve."""

    arrays: Sequence[np.ndarray]
    curve: Sequence[Epoch]


def path_of(trials: Path, study_id: str, candidate: AnyCandidate) -> Path:
    """In the study's folder `trials`. Of the candidate, not of the trial: one tried again goes on where it was."""
    name = hashlib.sha256(f"{study_id} {candidate.to_json()}".encode()).hexdigest()[:32]
    return paths.checkpoints(trials) / f"{name}.npz"


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Write through a temporary name: whoever reads sees all of it or the one before.

    It is not forced to the disk, which would cost more than it saves; the checksum in front tells what a power cut
    left of it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    curve = json.dumps([asdict(point) for point in checkpoint.curve])
    arrays = {f"a{number}": np.asarray(array) for number, array in enumerate(checkpoint.arrays)}
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with part.open("x+b") as file:
            file.write(bytes(_DIGEST))
            np.savez(file, curve=np.array(curve), **arrays)  # type: ignore[arg-type]
            digest = _digest(file)
            file.seek(0)
            file.write(digest)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def load(path: Path) -> Checkpoint | None:
    """None if there is none, or it is damaged or of another version: the trial then begins anew."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError), path.open("rb") as file:
        if file.read(_DIGEST) == _digest(file):
            file.seek(_DIGEST)
            stored = np.load(file, allow_pickle=False)
            arrays = [stored[f"a{number}"] for number in range(len(stored.files) - 1)]
            return Checkpoint(arrays, tuple(Epoch(**point) for point in json.loads(str(stored["curve"]))))
    return None


def sweep(trials: Path, wanted: Collection[Path]) -> None:
    """Delete all checkpoints of a study but those in `kept`, and what killed processes left of others."""
    for path in paths.checkpoints(trials).glob("*"):
        if path not in wanted:
            path.unlink(missing_ok=True)


def _digest(file: IO[bytes]) -> bytes:
    """Of everything behind the place for the digest."""
    file.seek(_DIGEST)
    return hashlib.file_digest(file, "sha256").digest()  # type: ignore[arg-type]
