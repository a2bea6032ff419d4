"""Where a database is. Apart from `studies.storage`, so that an option can be checked without loading SQLAlchemy."""

import re
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit

PREFIX = "sqlite:///"
POSTGRESQL = "postgresql://"
SECRETS = ("password", "sslpassword")


def check_url(url: str) -> None:
    """See that a database can be there; nothing is opened.

    Raises:
        ValueError: it is no address that is allowed, or it has a password in it. Of an address that may have one the
            message says no more than its kind.
    """
    if not is_postgresql(url):
        database_path(url)
        return
    problem = f"must be {POSTGRESQL}USER@HOST/DATABASE. Received: another form"
    try:
        parts = urlsplit(url)
        database = parts.path.removeprefix("/")
        if parts.password is not None or any(name in parse_qs(parts.query) for name in SECRETS):
            problem = (
                "must not have a password in it, which would be kept and shown: set PGPASSWORD, or write ~/.pgpass. "
                "Received: one with a password"
            )
        elif database and not re.search(r"[@/]", database) and not re.search(r"[#{}]", url) and (parts.port or 1) > 0:
            return
    except ValueError:
        pass  # a port that is none, or an address of IPv6 that is not closed
    raise ValueError(problem)


def is_postgresql(url: str) -> bool:
    """Whether a database is PostgreSQL's and not a file."""
    return url.startswith(POSTGRESQL)


def place(url: str) -> str:
    """For messages: the file, or the address of the server."""
    return url if is_postgresql(url) else str(database_path(url))


def database_path(url: str) -> Path:
    """The file behind `sqlite:///FILE`, in which `%20` is a blank, as SQLAlchemy has it.

    Raises:
        ValueError: it is anything else.
    """
    path = url.removeprefix(PREFIX)
    if not url.startswith(PREFIX) or not path or path.startswith(":") or "?" in path:
        known = (
            url if url.startswith(PREFIX) or not re.search("[@=]", url) else "another form"
        )  # with a password, perhaps
        raise ValueError(
            f"must be sqlite:///FILE (a database in a file) or {POSTGRESQL}USER@HOST/DATABASE. Received: {known}"
        )
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
