"""Where a database is. Apart from `studies.storage`, so that an option can be checked without loading SQLAlchemy."""

from pathlib import Path

PREFIX = "sqlite:///"


def database_path(url: str) -> Path:
    """The file behind `sqlite:///FILE`.

    Raises:
        ValueError: it is anything else.
    """
    path = url.removeprefix(PREFIX)
    if not url.startswith(PREFIX) or not path or path.startswith(":") or "?" in path:
        raise ValueError(f"must be sqlite:///FILE (a database in a file). Received: {url}")
    return Path(path).expanduser()
