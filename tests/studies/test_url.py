"""The forms of address that name a database."""

from pathlib import Path

import pytest
import sqlalchemy

from hpo.config import check_field
from hpo.errors import BadInput
from studies.url import address, check_url, database_path, file_uri, is_postgresql, place


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
    "url", ["mysql://x/y", "studies.db", "sqlite:///", "sqlite:///:memory:", "sqlite://", "sqlite:///a.db?mode=ro"]
)
def test_only_sqlite_files(url):
    with pytest.raises(ValueError, match="must be sqlite:///FILE"):
        database_path(url)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///studies.db",
        "postgresql://me@host/studies",
        "postgresql://me@[::1]:5433/studies?sslmode=require",
        "postgresql:///studies?host=/run/postgresql",
    ],
)
def test_a_file_or_a_server_is_allowed(url):
    check_url(url)
    assert is_postgresql(url) == url.startswith("postgresql")
    assert place(url) == ("studies.db" if url.startswith("sqlite") else url)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://", "postgresql://me@host", "postgresql://me@host/a/b", "postgresql://me@host:port/x",
        "postgresql://[::1/x", "postgresql://me:12#SECRET@h/x", "postgresql://me:12/SECRET@h", "postgresql://me:12?SECRET@h",
        "postgresql://me@h/db#?password=SECRET", "postgresql://me@h/{x}",
    ],
)  # fmt: skip
def test_an_address_that_is_none_is_refused_and_not_repeated(url):
    with pytest.raises(ValueError, match="^must be postgresql://USER@HOST/DATABASE. Received: another form$"):
        check_url(url)


@pytest.mark.parametrize(
    "url", ["postgresql://me:SECRET@host/x", "postgresql://host/x?user=me&password=SECRET", "postgresql://:SECRET@h/x"]
)
def test_a_password_in_an_address_is_refused_and_not_repeated(url):
    with pytest.raises(BadInput) as refused:
        check_field("storage", url)
    assert str(refused.value) == (
        "storage must not have a password in it, which would be kept and shown: set PGPASSWORD, or write ~/.pgpass. "
        "Received: one with a password"
    )


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://me:SECRET@h/x",
        "postgres://me:SECRET@h/x",
        "POSTGRESQL://me:SECRET@h/x",
        "host=h password=SECRET",
    ],
)
def test_what_may_have_a_password_in_it_is_not_repeated(url):
    with pytest.raises(ValueError, match="^must be sqlite:///FILE .*Received: another form$"):
        check_url(url)


def test_of_a_file_that_nobody_can_write_to_sqlite_gets_its_own_kind_of_address():
    path = Path("/data/a%20b?ä.db")
    assert file_uri(path) == "file:/data/a%2520b%3F%C3%A4.db?mode=ro&immutable=1"
    found = sqlalchemy.make_url(address(path, frozen=True))
    assert found.database == "file:/data/a%2520b%3F%C3%A4.db"
    assert found.query == {"mode": "ro", "immutable": "1", "uri": "true"}
