"""The files that a study ends in, against its records."""

import csv
import json

import pytest
from click.testing import CliRunner

from hpo.export import export_study, main
from hpo.search import run_study
from tests.studies.conftest import make_record, records  # noqa: F401  (fixtures)

STEMS = ("accuracy_latency", "accuracy_flops", "accuracy_latency_flops")


def test_all_files(records, tmp_path):  # noqa: F811
    written = export_study("s", records, tmp_path / "s")
    expected = {f"{stem}.{suffix}" for stem in STEMS for suffix in ("html", "png", "svg", "pdf")}
    expected |= {"trials.csv", "trials.json", "front.csv", "front.json"}
    assert {path.name for path in written} == {path.name for path in (tmp_path / "s").iterdir()} == expected


def test_tables_hold_the_records(records, tmp_path):  # noqa: F811
    export_study("s", records, tmp_path)
    trials = json.loads((tmp_path / "trials.json").read_text())
    assert [row["trial"] for row in trials] == [0, 1, 2, 3, 4, 5, 6]
    assert [row["on_front"] for row in trials] == [True, True, True, False, False, False, False]
    front = json.loads((tmp_path / "front.json").read_text())
    assert [(row["trial"], row["val_accuracy"], row["latency_ms"], row["flops"]) for row in front] == [
        (0, 0.8, 1.0, 10_000_000),
        (2, 0.78, 1.5, 5_000_000),
        (1, 0.9, 2.0, 20_000_000),
    ]
    with (tmp_path / "front.csv").open() as file:
        assert [row["trial"] for row in csv.DictReader(file)] == ["0", "2", "1"]


@pytest.mark.usefixtures("fakes")
def test_command_writes_what_the_run_wrote(configure, recorder, tmp_path):
    config = configure(trials=4)
    run_study(config, recorder)
    done = CliRunner().invoke(main, [config.study_name, "--storage", config.storage, "--out", str(config.out)])
    assert done.exit_code == 0
    assert str(config.study_dir / "front.csv") in done.output.splitlines()
    assert len(json.loads((config.study_dir / "trials.json").read_text())) == 5  # one more waits in the queue


def test_command_without_a_study(configure, tmp_path):
    done = CliRunner().invoke(main, ["nosuch", "--storage", configure().storage])
    assert done.exit_code == 2
    assert done.output.startswith("error: there is no database at ")
