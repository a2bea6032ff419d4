"""What was measured of an architecture on this machine is remembered, across studies."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models.reuse.shared import FILE_MODE, make_folder, read_text
from studies import strict
from studies.outcomes import DeployedLatency, Latency
from studies.paths import write_text


def to_latency(values: Mapping[str, Any]) -> Latency:
    """What is remembered of a latency, as a record."""
    return strict.from_values(DeployedLatency if "ms" in values else Latency, values)


class Memory:
    """What architectures and their parts cost: one small file under `<cache>/latency` for each, with a dict.

    `latency` is a latency's record, `times` how often it was measured for that, `cost` MACs, FLOPs and parameters,
    `structure` what a HyperModel builds of its values computes at inference (`models.structure`).

    Trials with the same architecture have the same latency, so that a front never shows noise as a difference, and
    the same study run again proposes the same trials. Delete the folder to measure anew.
    """

    def __init__(self, cache_dir: Path, machine: Mapping[str, Any]):
        self._folder, self._machine = cache_dir / "latency", dict(machine)

    def _identity(self, architecture: str) -> dict[str, Any]:
        return {"architecture": architecture, "machine": self._machine}

    def _path(self, architecture: str) -> Path:
        text = json.dumps(self._identity(architecture), sort_keys=True)
        return self._folder / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"

    def recall(self, architecture: str) -> dict[str, Any] | None:
        """What was remembered of an architecture on this machine; None if it was not measured yet."""
        try:
            stored = json.loads(read_text(self._path(architecture)))
            known = stored["known"]
            ours = stored["identity"] == self._identity(architecture)
            if ours and ("latency" not in known or to_latency(known["latency"]).record_ms > 0):
                return known
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            pass  # not measured yet, or not a file of ours: measuring again replaces it
        return None

    def shared(self, architecture: str) -> str:
        """Under what the latency of an architecture is remembered: one key for all that were found to be equal."""
        structure = (self.recall(architecture) or {}).get("structure")
        return f"structure/{structure}" if structure else architecture

    def remember(self, architecture: str, known: Mapping[str, Any]) -> None:
        """Keep what was measured."""
        stored = {"identity": self._identity(architecture), "known": dict(known)}
        make_folder(self._folder)
        write_text(self._path(architecture), json.dumps(stored, indent=1), FILE_MODE)
