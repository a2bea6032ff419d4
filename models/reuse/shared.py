"""A folder of a cache that several people use: what is made in it, and whose files are believed.

Such a folder is writable for a group and hands its group on (`chmod 2770`). Files are made so that the others can read
and replace them, but not change them: one that more than its owner may write to is believed by its owner alone.
"""

import os
from pathlib import Path

FILE_MODE = 0o644  # less what the umask takes away
OTHERS_WRITE = 0o022


def make_folder(folder: Path) -> None:
    """Make a folder of a cache, with all above it; whoever may write to the cache may then write to it too.

    Args:
        folder: directly below the cache's own.
    """
    if folder.is_dir():
        return
    folder.mkdir(parents=True, exist_ok=True)
    above, made = folder.parent.stat(), folder.stat()
    if made.st_uid == os.geteuid():
        folder.chmod(above.st_mode & 0o2770 | made.st_mode & 0o7777)  # the group's rights; those of all others never


def is_trusted(file: os.stat_result) -> bool:
    """Whether nobody but its owner can have written what it holds, or it is ours."""
    return file.st_uid == os.geteuid() or not file.st_mode & OTHERS_WRITE


def read_text(path: Path) -> str:
    """What a file holds, as UTF-8.

    Raises:
        OSError: it is not there, or not trusted.
    """
    with path.open(encoding="utf-8") as stream:
        if not is_trusted(os.fstat(stream.fileno())):
            raise PermissionError(f"{path} belongs to another, and others may write to it")
        return stream.read()


def open_lock(path: Path) -> int:
    """A descriptor to lock, of a file that is made if it is missing; no link is followed.

    Whatever the umask of who makes it, others may read it: it holds nothing, and to read is enough to lock it on a
    local disk. Whom the folder keeps out, it keeps out.

    Raises:
        OSError: the folder cannot be used.
    """
    always = os.O_NOFOLLOW | os.O_CLOEXEC
    while True:
        try:
            lock = os.open(path, os.O_RDWR | os.O_CREAT | always, FILE_MODE)
        except PermissionError:
            try:
                return os.open(path, os.O_RDONLY | always)
            except FileNotFoundError:  # its holder has just deleted it
                continue
        if os.fstat(lock).st_uid == os.geteuid():
            os.fchmod(lock, FILE_MODE)
        return lock
