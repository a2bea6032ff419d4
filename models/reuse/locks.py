"""Files that several processes share: a lock, a temporary name, a checksum that is not computed twice."""

import contextlib
import fcntl
import hashlib
import os
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from models.reuse.shared import FILE_MODE, open_lock

_checksums: dict[str, tuple[tuple[int, int, int], str]] = {}  # path -> (inode, mtime in ns, size), SHA-256


@contextlib.contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[bool]:
    """Holds a lock file alone and deletes it at the end; gives False if it is taken and we do not wait.

    Only its holder deletes it. Whoever waited for a file that no longer has this name tries again. A process that is
    killed lets go of its lock; the empty file that it leaves locks nobody out.
    """
    while True:
        descriptor = open_lock(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _has_name(descriptor, path):
                break
        except BlockingIOError:
            os.close(descriptor)
            yield False
            return
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    try:
        yield True
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
        fcntl.flock(descriptor, fcntl.LOCK_UN)  # closing is not enough when a forked child has inherited it
        os.close(descriptor)


@contextlib.contextmanager
def locked_patiently(path: Path, on_wait: Callable[[], None], seconds: float = 0.1) -> Iterator[None]:
    """`locked`, with a call every now and then while another holds it: who waits may have to let others pass."""
    while True:
        with locked(path, wait=False) as ours:
            if ours:
                yield
                return
        on_wait()
        time.sleep(seconds)


def _has_name(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def temporary(folder: Path, prefix: str) -> Iterator[IO[bytes]]:
    """A new file `<prefix>.<random>.tmp`, which is gone at the end unless it was renamed."""

    def opener(name: str, flags: int) -> int:
        return os.open(name, flags | os.O_NOFOLLOW, FILE_MODE)

    with open(folder / f"{prefix}.{secrets.token_hex(8)}.tmp", "x+b", opener=opener) as stream:
        try:
            yield stream
        finally:
            with contextlib.suppress(OSError):
                os.unlink(stream.name)


def sha256_of(stream: IO[bytes], path: Path) -> str:
    """Of the whole file, whose name is `path`; read again only if it has changed since this process last did."""
    state, known = _state(stream), _checksums.get(str(path))
    if known is None or known[0] != state:
        stream.seek(0)
        remember_sha256(stream, path, hashlib.file_digest(stream, "sha256").hexdigest())  # type: ignore[arg-type]
        known = _checksums[str(path)]
    return known[1]


def remember_sha256(stream: IO[bytes], path: Path, sha256: str) -> None:
    """Saves the next `sha256_of` from reading what was hashed while it was written."""
    _checksums[str(path)] = _state(stream), sha256


def _state(stream: IO[bytes]) -> tuple[int, int, int]:
    file = os.fstat(stream.fileno())
    return file.st_ino, file.st_mtime_ns, file.st_size
