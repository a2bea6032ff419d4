"""Where a database is. Apart from `studies.storage`, so that an option can be checked without loading SQLAlchemy."""

from pathlib import Path
from urllib.parse import quote, unquote

PREFIX = "sqlite:///"


def database_path(url: str) -> Path:
    """The file behind `sqlite:///FILE`, in which `%20` is a blank, as SQLAlchemy has it.

    Raises:
        ValueError: it is anything else.
    """
    path = url.removeprefix(PREFIX)
    if not url.startswith(PREFIX) or not path or path.startswith(":") or "?" in path:
        raise ValueError(f"must be sqlite:///FILE (a database in a file). Received: {url}")
    return Path(unquote(path)).expanduser()


def address(path: Path, frozen: bool = False) -> str:
    """Of a database in a file, for Optuna: the way back from `database_path`.

    Args:
        path: of the file.
        frozen: it cannot be written to from here: SQLite takes no lock and makes no files beside it.
    """
    if frozen:
        place, _, options = file_uri(path).partition("?")
        return f"{PREFIX}{quote(place, safe=':/')}?{options}&uri=true"  # SQLAlchemy takes one layer off
    return PREFIX + quote(str(path), safe=" +/")


def file_uri(path: Path) -> str:
    """Of a database that cannot be written to from here, for SQLite itself (https://sqlite.org/uri.html)."""
    return f"file:{quote(str(path.absolute()))}?mode=ro&immutable=1"
