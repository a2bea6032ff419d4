"""Networks converted for a runtime in a process of its own, which has TensorFlow whatever this one computes with.

Latency does not depend on what a network has learned, so weights are random, and a network is converted in two parts:
all of it with a last layer only, and the head alone, since a head costs the same behind every trunk.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models import ModelError, lean
from models.candidate import AnyArchitecture, AnyCandidate, Architecture, Candidate, HyperCandidate
from models.latency.children import command, environment
from models.latency.runtimes import RUNTIMES

if TYPE_CHECKING:
    import keras

    from models.build import Task

# On the CPU, even where there is a GPU: its memory is for training.
ENVIRONMENT = {"KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
LIMIT_SECONDS = 500  # for one network: the kernel ends a process that hangs, even if nobody is left to do so
IDLE_SECONDS = 60  # without a request the process ends, with its memory; the next one starts another
_spare: list[subprocess.Popen[str]] = []  # started early, and not yet taken: one or none
_ANSWER = "answer "  # what a line begins with that is meant for us: converters print, too


class Converter:
    """A converting process, started with the first request, and anew after a minute without one. A context manager.

    Args:
        runtime: litert or onnx.
    """

    def __init__(self, runtime: str):
        self._runtime = runtime
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Converter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def network(self, architecture: AnyArchitecture, task: Task, path: Path) -> None:
        """Convert the network of an architecture, from raw pictures to probabilities.

        Raises:
            ModelError: it cannot be converted.
        """
        values = architecture.to_dict() if isinstance(architecture, HyperCandidate) else dict(vars(architecture))
        whole = {"architecture": values, "task": {**vars(task), "weights": "none"}}
        self._ask({**whole, "path": str(path)})

    def ends(
        self, architectures: Sequence[Architecture], task: Task, paths: Sequence[Path], spare: int = 0, room: int = 0
    ) -> None:
        """Convert networks that differ only in the blocks that they keep, at once.

        Args:
            architectures: of them.
            task: pictures, classes.
            paths: of their files.
            spare: how many of the last ones are written only if that is cheap.
            room: bytes that these may take.

        Raises:
            ModelError: they cannot be converted.
        """
        whole = {"ends": [dict(vars(each)) for each in architectures], "task": {**vars(task), "weights": "none"}}
        self._ask({**whole, "paths": [str(path) for path in paths], "spare": spare, "room": room})

    def backbone(self, name: str, resolution: int, top: bool, path: Path) -> None:
        """Convert a backbone, with its published classifier or without.

        Raises:
            ModelError: it cannot be converted.
        """
        self._ask({"backbone": name, "resolution": resolution, "top": top, "path": str(path)})

    def head(self, architecture: Architecture, channels: int, n_logits: int, path: Path) -> None:
        """Convert its head alone: pooled features (1, channels) to probabilities.

        Raises:
            ModelError: it cannot be converted.
        """
        shape = {"channels": channels, "n_logits": n_logits}
        self._ask({"architecture": dict(vars(architecture)), **shape, "path": str(path)})

    def close(self) -> None:
        """End the process, if there is one; the next request starts another."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()  # closes its pipes, too
            self._process = None

    def _ask(self, request: Mapping[str, Any]) -> None:
        reason = self._answer(request)
        if reason is None and self._process is not None and self._process.wait() in (0, -signal.SIGKILL):
            # It had been idle, or was killed, as the kernel does where memory runs out: another one is asked.
            self.close()
            reason = self._answer(request)
        if reason is None:
            self.close()  # the next request starts another
            reason = "the converting process died"
        if reason:
            raise ModelError(f"the network cannot be converted for {RUNTIMES[self._runtime].label}: {reason}")

    def _answer(self, request: Mapping[str, Any]) -> str | None:
        """Why it cannot be done, "" if it was, None if the process is no more."""
        if self._process is None:
            self._process = _spare.pop() if _spare else _start()
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"runtime": self._runtime, **request}) + "\n")
            self._process.stdin.flush()
            for line in self._process.stdout:
                if line.startswith(_ANSWER):
                    return json.loads(line.removeprefix(_ANSWER))
        except BrokenPipeError:
            pass
        return None


def start_early() -> None:
    """Start a process that imports what it needs meanwhile; the first converter that asks for one takes it."""
    if not _spare:
        _spare.append(_start())


def _start() -> subprocess.Popen[str]:
    return subprocess.Popen(
        command("models.latency.conversion"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment(**ENVIRONMENT),
    )


def convert(model: keras.Model, runtime: str, architecture: AnyArchitecture, task: Task, path: Path) -> None:
    """Convert a network that is there: in this process where its backend is TensorFlow, else from its architecture.

    Raises:
        ModelError: it cannot be converted.
    """
    import keras

    from models.export.runtimes import export_one

    if keras.backend.backend() == "tensorflow":
        export_one(model, runtime, path)
        return
    with Converter(runtime) as converter:
        converter.network(architecture, task, path)


def main() -> None:
    """In the process: a request a line, and for each an answer: nothing, or why it could not be done."""
    signal.alarm(LIMIT_SECONDS)
    lean.alone()
    with contextlib.suppress(Exception):  # else the first request says why
        lean.import_keras()  # it takes seconds, which have passed when that comes

    while True:
        signal.signal(signal.SIGALRM, lambda *_: sys.exit(0))
        signal.alarm(IDLE_SECONDS)
        line = sys.stdin.readline()
        if not line:
            return
        request = json.loads(line)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(LIMIT_SECONDS)
        try:
            _convert(request)
            reason = ""
        except Exception as error:  # whatever a converter raises: the caller says it
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        signal.alarm(0)
        print(f"\n{_ANSWER}{json.dumps(reason)}", flush=True)


def _convert(request: Mapping[str, Any]) -> None:
    import keras

    from models.backbones import get_backbone, with_top, without_top
    from models.build import Task, build_classifier, build_ends, head_alone
    from models.export.one_output import extract
    from models.export.runtimes import export_one

    keras.backend.clear_session()  # or it grows with each network
    if "ends" in request:
        paths = [Path(path) for path in request["paths"]]
        together = paths[0].with_name(f"{paths[0].name}.together")
        try:
            model = build_ends([_candidate(each) for each in request["ends"]], Task(**request["task"]))
            export_one(model, request["runtime"], together)
            spare = request["spare"]
            wanted = len(paths) - (spare if spare * together.stat().st_size > request["room"] else 0)
            extract(request["runtime"], together, dict(enumerate(paths[:wanted])))
        finally:
            together.unlink(missing_ok=True)
        return
    if "backbone" in request:
        build = with_top if request["top"] else without_top
        model = build(get_backbone(request["backbone"]), request["resolution"])
    elif "task" in request:
        model = build_classifier(_any(request["architecture"]), Task(**request["task"]), 0)
    else:
        model = head_alone(_candidate(request["architecture"]), request["channels"], request["n_logits"])
    export_one(model, request["runtime"], Path(request["path"]))


def _any(architecture: Mapping[str, Any]) -> AnyCandidate:
    return HyperCandidate.from_dict(architecture) if "values" in architecture else _candidate(architecture)


def _candidate(architecture: Mapping[str, Any]) -> Candidate:
    plain: dict[str, Any] = {"unfreeze_depth": 0, "dropout": 0.0, "learning_rate": 1e-3, "lr_schedule": "constant"}
    return Candidate(**architecture, **plain)
