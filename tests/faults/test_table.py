"""Faults that take moments, as a table: what is done to a study, which command is given, what must happen.

Those that take minutes are in long.py; spoilt contents of files and attributes in test_readers.py and test_database.py.
"""

import json
import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

import hpo.compare
import hpo.evaluate
import hpo.export
import hpo.map
import hpo.report
import hpo.run
from hpo.config import StudyConfig
from studies.storage import database_lock
from studies.url import database_path

COMMANDS = {
    "run": hpo.run.main, "map": hpo.map.main, "evaluate": hpo.evaluate.main, "export": hpo.export.main,
    "report": hpo.report.main, "compare": hpo.compare.main,
}  # fmt: skip
READING = ("report", "compare", "export", "evaluate")
MORE = {"export": ("--format", "litert", "--trial", "0"), "report": ("--no-figures",)}
STUDY = "custom_cnn-digits"


@dataclass(frozen=True)
class Fault:
    """What is wrong, and what each command says of it.

    Attributes:
        name: what people would call it.
        arrange: makes it so.
        commands: that meet it.
        code: the exit code.
        says: part of the one line.
        words: that are given beside the usual ones.
    """

    name: str
    arrange: Callable[[StudyConfig], None]
    commands: tuple[str, ...]
    code: int
    says: str
    words: tuple[str, ...] = ()


def database(config: StudyConfig) -> Path:
    return database_path(config.storage)


def text_for_database(config: StudyConfig) -> None:
    database(config).write_text("This is a letter. " * 100)


def half_of_the_database(config: StudyConfig) -> None:
    content = database(config).read_bytes()
    database(config).write_bytes(content[: len(content) // 2])


def folder_for_database(config: StudyConfig) -> None:
    database(config).unlink()
    database(config).mkdir()


def without_tables(config: StudyConfig) -> None:
    database(config).write_bytes(b"")


def set_attribute(key: str, value: object) -> Callable[[StudyConfig], None]:
    def arrange(config: StudyConfig) -> None:
        with sqlite3.connect(database(config)) as connection:
            connection.execute(
                "UPDATE study_user_attributes SET value_json = ? WHERE key = ?", (json.dumps(value), key)
            )
        connection.close()

    return arrange


def file_for_results(config: StudyConfig) -> None:
    shutil.rmtree(config.out)
    config.out.write_text("")


def file_for_cache(config: StudyConfig) -> None:
    shutil.rmtree(config.cache_dir, ignore_errors=True)
    config.cache_dir.write_text("")


def lock_is_a_link(config: StudyConfig) -> None:
    lock = database(config).with_name("studies.db.lock")
    lock.unlink(missing_ok=True)
    lock.symlink_to(database(config).with_name("precious"))


def nothing(config: StudyConfig) -> None:
    pass


FAULTS = [
    Fault("no database", lambda config: database(config).unlink(), READING, 2, "there is no database at"),
    Fault("a text in place of the database", text_for_database, (*READING, "run"), 3, "file is not a database"),
    Fault("half of the database", half_of_the_database, (*READING, "run"), 3, "database"),
    Fault("a folder in place of the database", folder_for_database, READING, 2, "there is no database at"),
    Fault("a folder in place of the database", folder_for_database, ("run",), 3, "unable to open database file"),
    Fault("an empty file in place of the database", without_tables, READING, 3, "studies.db: "),
    Fault("a fingerprint that is a text", set_attribute("fingerprint", "x"), (*READING, "run"), 3, "fingerprint must"),
    Fault("a study id that is a number", set_attribute("study_id", 3), (*READING, "run"), 3, "study_id must be a text"),
    Fault("options that are a list", set_attribute("options", [1]), READING, 3, "options must be an object"),
    Fault("a file in place of the results", file_for_results, (*READING, "run", "map"), 2, "must be a folder"),
    Fault("a file in place of the cache", file_for_cache, ("evaluate", "run", "map"), 2, "must be a folder"),
    Fault("a lock that is a link", lock_is_a_link, ("run", "evaluate"), 3, "is a link; a lock is a file of its own"),
    Fault("a study that is not there", nothing, READING, 2, "there is no study", ("other",)),
    Fault("a name that leads out of the results", nothing, READING, 2, "there is no study", ("../escape",)),
    Fault("data that are not there", nothing, ("run", "map"), 2, "dataset must be one of", ("--dataset", "gone")),
    Fault("weights that are not there", nothing, ("run", "map"), 2, "weights", ("--weights", "gone.h5")),
]  # fmt: skip
CASES = [pytest.param(fault, command, id=f"{fault.name}, {command}") for fault in FAULTS for command in fault.commands]


@pytest.fixture
def study(configure, fakes):
    config = configure(trials=3)
    fakes.run(config)
    return config


def arguments(command: str, config: StudyConfig, words: tuple[str, ...]) -> list[str]:
    places = ["--out", str(config.out)]
    if command != "map":
        places += ["--storage", config.storage]
    if command != "compare":
        places += ["--cache-dir", str(config.cache_dir)]
    if command in READING:
        return [*(words or (STUDY,)), *places, *MORE.get(command, ())]
    return ["--dataset", "digits", "--workers", "0", *places, *words]


@pytest.mark.parametrize(("fault", "command"), CASES)
def test_each_fault_is_one_line_and_its_exit_code(fault, command, study):
    fault.arrange(study)
    done = CliRunner().invoke(COMMANDS[command], arguments(command, study, fault.words))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert (done.exit_code, done.stderr.count("\n")) == (fault.code, 1), done.output
    assert done.stderr.startswith("error: ") and fault.says in done.stderr


def wait_for(path: Path) -> None:
    end = time.monotonic() + 30
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.01)


@pytest.mark.parametrize("command", ["run", "evaluate"])
def test_a_database_that_another_process_writes_to(study, command):
    child = os.fork()
    if child == 0:  # a lock of the same process would be its own
        try:
            with database_lock(study.storage, "another"):
                (study.out / "held").touch()
                wait_for(study.out / "enough")
        finally:
            os._exit(0)
    try:
        wait_for(study.out / "held")
        done = CliRunner().invoke(COMMANDS[command], arguments(command, study, ()))
    finally:
        (study.out / "enough").touch()
        os.waitpid(child, 0)
    assert done.exit_code == 2 and f"is in use: process {child} has been running study another" in done.stderr


def test_nothing_is_lost_by_any_of_them(study):
    """The database is as it was after all commands that were refused."""
    before = sqlite_text(database(study))
    for command in READING:
        CliRunner().invoke(COMMANDS[command], arguments(command, study, ("other",)))
    assert sqlite_text(database(study)) == before


def sqlite_text(path: Path) -> list[str]:
    with sqlite3.connect(path) as connection:
        lines = list(connection.iterdump())
    connection.close()
    return lines
