"""The one form of address that names a database."""

from pathlib import Path

import pytest

from studies.url import database_path


def test_relative_and_absolute_files():
    assert database_path("sqlite:///studies.db") == Path("studies.db")
    assert database_path("sqlite:///~/studies.db") == Path.home() / "studies.db"
    assert database_path("sqlite:////data/my studies.db") == Path("/data/my studies.db")


@pytest.mark.parametrize(
    "url", ["postgresql://x/y", "studies.db", "sqlite:///", "sqlite:///:memory:", "sqlite://", "sqlite:///a.db?mode=ro"]
)
def test_only_sqlite_files(url):
    with pytest.raises(ValueError, match="must be sqlite:///FILE"):
        database_path(url)
