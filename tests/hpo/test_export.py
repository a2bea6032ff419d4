"""The files that a study ends in, against its records."""

import csv
import json
import shutil

import pytest
from click.testing import CliRunner

from hpo.export import main
from hpo.reporting.tables_and_plots import write_study
from tests.studies.conftest import make_record, records  # noqa: F401  (fixtures)

STEMS = ("accuracy_latency", "accuracy_flops", "accuracy_latency_flops")


def test_all_files(records, tmp_path):  # noqa: F811
    written = write_study("s", records, tmp_path / "s")
    expected = {f"{stem}.{suffix}" for stem in STEMS for suffix in ("html", "png", "svg", "pdf")}
    expected |= {"trials.csv", "trials.json", "front.csv", "front.json"}
    assert {path.name for path in written} == {path.name for path in (tmp_path / "s").iterdir()} == expected


def test_tables_hold_the_records(records, tmp_path):  # noqa: F811
    write_study("s", records, tmp_path)
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


def test_command_writes_what_the_run_wrote(configure, tmp_path, fakes):
    config = configure(trials=4)
    fakes.run(config)
    done = CliRunner().invoke(main, [config.study_name, "--storage", config.storage, "--out", str(config.out)])
    assert done.exit_code == 0
    assert str(config.study_dir / "front.csv") in done.output.splitlines()
    assert len(json.loads((config.study_dir / "trials.json").read_text())) == 5  # one more waits in the queue


def test_command_without_a_study(configure, tmp_path):
    done = CliRunner().invoke(main, ["nosuch", "--storage", configure().storage])
    assert done.exit_code == 2
    assert done.output.startswith("error: there is no database at ")


@pytest.fixture
def copied(evaluated, tmp_path, monkeypatch):
    """A small evaluated study, to be added to."""
    monkeypatch.setattr("hpo.final.conversion.LONG_SECONDS", 0.1)
    shutil.copytree(evaluated.out, tmp_path / "runs")
    return evaluated.model_copy(update={"out": tmp_path / "runs"})


def call(config, *words):
    places = ["--storage", config.storage, "--out", str(config.out), "--cache-dir", str(config.cache_dir)]
    return CliRunner().invoke(main, [config.study_name, *places, *words])


@pytest.mark.slow
def test_a_final_model_beside_the_original(copied):
    done = call(copied, "--trial", "2", "--format", "litert", "--format", "litert")
    assert done.exit_code == 0, done.output
    folder = copied.study_dir / "exports" / "trial-2"
    rows = json.loads((folder / "exports.json").read_text())
    assert [row["format"] for row in rows] == ["keras", "litert"]
    assert {path.name for path in folder.iterdir()} == {
        "model.tflite",
        "exports.csv",
        "exports.json",
        "class_names.json",
    }
    for row in rows:
        shown = next(line for line in done.output.splitlines() if line.strip().startswith(row["format"] + " "))
        right = row["pairs"]["both_right"] + row["pairs"]["gained"]
        assert f"{right / sum(row['pairs'].values()):.4f}" in shown
        assert row["runtime"] in shown


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--format", "onnx"], "--format and --trial belong together"),
        (["--trial", "2"], "--format and --trial belong together"),
        (["--trial", "2", "--format", "torch"], "'torch' is not one of 'savedmodel', 'onnx', 'litert', 'litert-int8'"),
        (["--trial", "1", "--format", "litert"], "trial 1 of study custom_cnn-digits was not evaluated; first: python"),
        (["--trial", "2", "--format", "litert", "--device", "tpu"], "--device must be auto, cpu, gpu or gpu:N"),
    ],
)
def test_mistakes_in_one_line(copied, words, said):
    done = call(copied, *words)
    assert (done.exit_code, done.output.count("\n")) == (2, 1)
    assert done.output.startswith("error: ")
    assert said in done.output
    assert not (copied.study_dir / "exports").exists()


def test_a_missing_package_is_said_before_anything_is_done(copied, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    done = call(copied, "--trial", "2", "--format", "onnx")
    assert (done.exit_code, done.output.count("\n")) == (2, 1)
    assert '.[onnx]"' in done.output


def test_a_converter_that_fails(copied, monkeypatch):
    monkeypatch.setattr("hpo.final.conversion._convert", lambda job, beat: [][0])
    done = call(copied, "--trial", "trial-2", "--format", "litert")
    assert done.exit_code == 1
    assert done.output.endswith("error: keras: IndexError: list index out of range\n")
