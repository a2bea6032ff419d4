"""The one form of address that names a database."""

from pathlib import Path

import pytest
import sqlalchemy

from studies.url import address, database_path, file_uri


def test_relative_and_absolute_files():
    assert database_path("sqlite:///studies.db") == Path("studies.db")
    assert database_path("sqlite:///~/studies.db") == Path.home() / "studies.db"
    assert database_path("sqlite:////data/my studies.db") == Path("/data/my studies.db")


@pytest.mark.parametrize("name", ["studies.db", "a b.db", "a%20b.db", "a+b#c.db", "ä?.db"])
def test_an_address_leads_back_to_its_file(name):
    assert database_path(address(Path("/data") / name)) == Path("/data") / name
    assert sqlalchemy.make_url(address(Path("/data") / name)).database == f"/data/{name}"  # where Optuna looks


def test_a_percent_sign_stands_for_what_sqlalchemy_takes_it_for():
    assert database_path("sqlite:///a%20b.db") == Path("a b.db")
    assert sqlalchemy.make_url("sqlite:///a%20b.db").database == "a b.db"


@pytest.mark.parametrize(
    "url", ["postgresql://x/y", "studies.db", "sqlite:///", "sqlite:///:memory:", "sqlite://", "sqlite:///a.db?mode=ro"]
)
def test_only_sqlite_files(url):
    with pytest.raises(ValueError, match="must be sqlite:///FILE"):
        database_path(url)


def test_of_a_file_that_nobody_can_write_to_sqlite_gets_its_own_kind_of_address():
    path = Path("/data/a%20b?ä.db")
    assert file_uri(path) == "file:/data/a%2520b%3F%C3%A4.db?mode=ro&immutable=1"
    found = sqlalchemy.make_url(address(path, frozen=True))
    assert found.database == "file:/data/a%2520b%3F%C3%A4.db"
    assert found.query == {"mode": "ro", "immutable": "1", "uri": "true"}
