"""Where parts of networks are converted and measured: all that are asked for together take turns.

Two processes do the work: one converts (`models.latency.conversion`), one measures (`models.latency.process`).
"""

import fcntl
import os
import secrets
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

from hpo.worker.machine_lock import MachineLock
from models import ModelError
from models.candidate import AnyArchitecture, Architecture
from models.latency.conversion import Converter
from models.latency.deployed import MOST_ROUNDS, ROUND_SECONDS, ROUNDS, measure_files
from models.reuse.shared import make_folder, open_lock
from studies.outcomes import DeployedLatency

if TYPE_CHECKING:
    from models.build import Task

POLL_SECONDS = 0.2
BRIEF_SECONDS = 0.08
MOST_KEPT_BYTES = 2**28  # of converted parts; beyond, they are converted again when the front is measured again
MOST_SPARE_BYTES = 2**25  # of those that are converted because others are


@dataclass(frozen=True)
class Part:
    """A network to be converted and measured: a trunk, or a head alone.

    Attributes:
        architecture: of a trunk with `head_width` 0; one of several, where a HyperModel builds equal networks.
        key: that it is remembered under.
        size: what it is monotone in: a side, or a width.
        head: whether it is a head.
    """

    architecture: AnyArchitecture = field(compare=False)
    key: str
    size: int
    head: bool


@dataclass
class Measured:
    """What came of parts: a latency, or why there is none."""

    latencies: dict[Part, DeployedLatency] = field(default_factory=dict)
    errors: dict[Part, Exception] = field(default_factory=dict)


class Bench:
    """Converts parts once and measures them, whenever nobody else does with the same cache folder.

    Args:
        task: pictures, classes.
        channels: behind each block of the backbone.
        runtime, threads: that it is measured in.
        cache_dir: of the study.
    """

    def __init__(self, task: "Task", channels: Sequence[int], runtime: str, threads: int, cache_dir: Path):
        self._task, self._channels, self._runtime, self._threads = task, channels, runtime, threads
        self._cache_dir, self._folder = cache_dir, cache_dir / "latency"
        # Converted parts: open and without a name, so that no kill leaves them on the disk.
        self._files: dict[Part, IO[bytes]] = {}
        self._converter = Converter(runtime)
        weakref.finalize(self, _close, self._files)
        weakref.finalize(self, self._converter.close)

    @contextmanager
    def alone(self, on_wait: Callable[[], None]) -> Iterator[None]:
        """One process measures at a time: what it measured, the next one finds. `on_wait` is called meanwhile."""
        make_folder(self._folder)
        with open(open_lock(self._folder / ".survey.lock"), "rb") as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    on_wait()
                    time.sleep(POLL_SECONDS)
            yield

    def measure(
        self, parts: Sequence[Part], on_step: Callable[[], None], brief: bool = False, spare: Sequence[Part] = ()
    ) -> Measured:
        """The latencies of parts, which take turns, to be called `alone`.

        Args:
            parts: what is not converted is converted before.
            on_step: called after each conversion and each round.
            brief: in six short rounds, for an estimate and not for the record.
            spare: trunks that differ from these only in the blocks that they keep; converted with them if they are
                small, to be measured later.
        """
        errors = self._convert(parts, spare, on_step)
        measured = self._measure([part for part in parts if part not in errors], on_step, brief)
        if sum(os.fstat(file.fileno()).st_size for file in self._files.values()) > MOST_KEPT_BYTES:
            _close(self._files)
        return Measured(measured.latencies, {**errors, **measured.errors})

    def _measure(self, parts: Sequence[Part], on_step: Callable[[], None], brief: bool) -> Measured:
        if not parts:
            return Measured()

        @contextmanager
        def alone() -> Iterator[None]:
            with MachineLock(self._cache_dir) as lock, lock.measuring():
                yield
            on_step()

        @contextmanager
        def starting() -> Iterator[None]:  # beside others that train, while nobody measures
            with MachineLock(self._cache_dir) as lock, lock.training():
                yield

        files = [self._files[part].fileno() for part in parts]
        seconds, most_rounds = (BRIEF_SECONDS, ROUNDS) if brief else (ROUND_SECONDS, MOST_ROUNDS)
        try:
            latencies = measure_files(
                files,
                self._runtime,
                self._threads,
                seconds=seconds,
                most_rounds=most_rounds,
                alone=alone,
                starting=starting,
            )
        except ModelError as error:
            if len(parts) == 1:
                return Measured(errors={parts[0]: error})
            together = Measured()
            for part in parts:  # one by one, so that none fails by another's fault
                single = self._measure([part], on_step, brief)
                together.latencies |= single.latencies
                together.errors |= single.errors
            return together
        records = (DeployedLatency(**asdict(latency)) for latency in latencies)
        return Measured(dict(zip(parts, records, strict=True)))

    def _convert(
        self, parts: Sequence[Part], spare: Sequence[Part], on_step: Callable[[], None]
    ) -> dict[Part, Exception]:
        """Those that are not converted yet; why some cannot be."""
        for left in self._folder.glob(".survey-*"):  # of a process that was killed
            left.unlink(missing_ok=True)
        errors: dict[Part, Exception] = {}
        for group in _at_once([part for part in parts if part not in self._files]):
            beside = [part for part in spare if part not in self._files] if self._are_small(spare) else []
            failed = self._convert_group(group, beside)
            if failed and beside:  # one of these may be why
                failed = self._convert_group(group, [])
            errors |= dict.fromkeys(group, failed) if failed else {}
            on_step()
        return errors

    def _are_small(self, trunks: Sequence[Part]) -> bool:
        """Whether their last layers alone leave room for them: where there are many classes, they do not."""
        blocks = (part.architecture.keep_blocks for part in trunks if isinstance(part.architecture, Architecture))
        weights = sum(self._channels[kept - 1] * self._task.n_logits for kept in blocks)
        return 4 * weights <= MOST_SPARE_BYTES

    def _convert_group(self, group: Sequence[Part], beside: Sequence[Part]) -> Exception | None:
        """Convert parts at once, and those beside them if they are small; why that cannot be done."""
        together = [*group, *beside]
        paths = [self._folder / f".survey-{secrets.token_hex(8)}.model" for _ in together]
        try:
            self._ask_converter(together, paths, len(beside))
            written = {part: path for part, path in zip(together, paths, strict=True) if path.exists()}
            self._files |= {part: path.open("rb") for part, path in written.items()}
            return None
        except Exception as error:
            return error
        finally:
            for path in paths:
                path.unlink(missing_ok=True)

    def _ask_converter(self, parts: Sequence[Part], paths: Sequence[Path], spare: int) -> None:
        first, converter = parts[0], self._converter
        if first.head:
            assert isinstance(first.architecture, Architecture)
            channels = self._channels[first.architecture.keep_blocks - 1]
            converter.head(first.architecture, channels, self._task.n_logits, paths[0])
        elif len(parts) == 1:
            converter.network(first.architecture, self._task, paths[0])
        else:
            ends = [part.architecture for part in parts if isinstance(part.architecture, Architecture)]
            converter.ends(ends, self._task, paths, spare, MOST_SPARE_BYTES)


def _at_once(parts: Sequence[Part]) -> list[list[Part]]:
    """Parts that are converted together: trunks that differ only in the blocks that they keep."""
    groups: dict[object, list[Part]] = {}
    for part in parts:
        architecture = part.architecture
        if isinstance(architecture, Architecture) and not part.head:
            groups.setdefault(replace(architecture, keep_blocks=0), []).append(part)
        else:
            groups[part] = [part]
    return list(groups.values())


def _close(files: dict[Part, IO[bytes]]) -> None:
    while files:
        files.popitem()[1].close()
