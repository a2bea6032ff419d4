"""A database that someone has edited: whatever stands in it, each command ends well or in one line."""

import json
import os
import shutil
import sqlite3
import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import hpo.compare
import hpo.export
import hpo.report
from hpo.errors import MISTAKES, StorageError, StudyStopped
from hpo.study import load_study
from studies.url import database_path
from tests.faults.mutation import NUMBERS, almost

TABLES = {
    "study_user_attributes": ("study_user_attribute_id", "value_json"),
    "trial_user_attributes": ("trial_user_attribute_id", "value_json"),
    "trial_system_attributes": ("trial_system_attribute_id", "value_json"),
    "trial_params": ("param_id", "param_value"),
    "trial_values": ("trial_value_id", "value"),
}
# Without shrinking: an example takes seconds, and what was edited is in the message. `make faults` tries more.
MANY = settings(
    max_examples=int(os.environ.get("EXAMPLES", "8")), phases=[Phase.generate], derandomize=True, deadline=None,
    report_multiple_bugs=False, suppress_health_check=list(HealthCheck),
)  # fmt: skip


@pytest.fixture
def study(configure, fakes):
    """Eight trials, some of them over budget, and one more to go."""
    fakes.run(configure(max_latency_ms=2.5))
    return configure(max_latency_ms=2.5, trials=9)


def rows(path: Path, table: str) -> list[tuple[int, object]]:
    key, column = TABLES[table]
    with sqlite3.connect(path) as connection:
        found = connection.execute(f"SELECT {key}, {column} FROM {table} ORDER BY {key}").fetchall()
    connection.close()
    return found


def edit(data: st.DataObject, path: Path) -> str:
    """Change one value of one table; returns which."""
    table = data.draw(st.sampled_from(list(TABLES)))
    key, column = TABLES[table]
    there = rows(path, table)
    if not there:
        return ""
    number, value = data.draw(st.sampled_from(there))
    new = json.dumps(data.draw(almost(json.loads(str(value))))) if column == "value_json" else data.draw(NUMBERS)
    if isinstance(new, int):
        new = float(new % 2**31)
    with sqlite3.connect(path) as connection:
        if data.draw(st.integers(0, 4)) == 0:
            connection.execute(f"DELETE FROM {table} WHERE {key} = ?", (number,))
        else:
            connection.execute(f"UPDATE {table} SET {column} = ? WHERE {key} = ?", (new, number))
    connection.close()
    return f"{table} {number}: {value!r} -> {new!r}"


@pytest.mark.slow
@MANY
@given(data=st.data())
def test_an_edited_database_is_read_or_refused_in_one_line(study, fakes, data):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s.db"
        shutil.copy(database_path(study.storage), path)
        what = edit(data, path)
        storage, out = f"sqlite:///{path}", Path(folder) / "runs"
        places = ["--storage", storage, "--out", str(out)]
        for command, more in ((hpo.compare, []), (hpo.report, ["--no-figures", "--no-pictures"]), (hpo.export, [])):
            done = CliRunner().invoke(command.main, [study.study_name, *places, *more])
            if done.exception is not None and not isinstance(done.exception, SystemExit):
                raise AssertionError(f"{command.__name__} after {what}") from done.exception
            assert done.exit_code in (0, 1, 2, 3), what
        try:
            load_study(study.study_name, storage=storage, out=out).export()
        except (*MISTAKES, StorageError):
            pass
        try:
            fakes.run(study.model_copy(update={"storage": storage, "out": out}))
        except (*MISTAKES, StorageError, StudyStopped):
            pass
