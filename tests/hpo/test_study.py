"""The front door: what Python calls, silent and without a trace in the caller's process."""

import ast
import logging
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import optuna
import pytest
from click.testing import CliRunner
from PIL import Image

import hpo
from datasets.registry import open_test
from hpo import compare, dashboard, evaluate, export, predict, report, run
from hpo.errors import BadInput, ModelError, StudyRefused
from hpo.study import Study, compare_studies, load_study, run_study
from hpo.worker.pool import Workers
from models.reuse.store import picture_store
from studies.forms import digest_of, write_forms
from tests import made

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def study(evaluated):
    return load_study(evaluated.study_name, storage=evaluated.storage)


@pytest.fixture
def here(monkeypatch):
    """Workers that predict do it in this process."""
    begin = Workers.__init__
    monkeypatch.setattr(Workers, "__init__", lambda self, _processes, *others: begin(self, 0, *others))


def test_what_is_shown_is_frozen():
    assert hpo.__all__ == [
        "Backbone",
        "Study",
        "StudyConfig",
        "__version__",
        "compare_studies",
        "errors",
        "load_study",
        "map_networks",
        "run_study",
    ]
    assert all(hasattr(hpo, name) for name in hpo.__all__)
    assert set(hpo.__all__) <= set(dir(hpo))
    with pytest.raises(AttributeError, match="module 'hpo' has no attribute 'nothing'"):
        _ = hpo.nothing
    public = {name for name in vars(Study) if not name.startswith("_")}
    assert public == {
        "best",
        "config",
        "convert",
        "evaluate",
        "export",
        "front",
        "models",
        "plot",
        "records",
        "report",
        "to_pandas",
    }


def test_importing_the_package_imports_nothing_else():
    code = "import sys, hpo; print([name for name in sys.modules if name.split('.')[0] in sys.argv[1:]])"
    heavy = ["click", "keras", "models", "numpy", "optuna", "pandas", "pydantic", "rich", "sqlalchemy", "studies"]
    done = subprocess.run([sys.executable, "-c", code, *heavy], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_a_study_is_silent_and_leaves_no_trace(configure, fakes, capsys, monkeypatch, caplog):
    monkeypatch.setattr(sys, "argv", None)  # nothing reads it
    optuna.logging.set_verbosity(optuna.logging.DEBUG)
    environment = dict(os.environ)
    try:
        with caplog.at_level(logging.INFO, "hpo"):
            study = run_study(configure(trials=3), parts=fakes.parts)
        assert optuna.logging.get_verbosity() == optuna.logging.DEBUG
    finally:
        optuna.logging.set_verbosity(optuna.logging.INFO)
    assert dict(os.environ) == environment
    assert capsys.readouterr() == ("", "")
    said = [record.message for record in caplog.records if record.name == "hpo"]
    assert said[-4:-1] == [f"trial {number}: complete" for number in range(3)]
    assert said[-1] == "measuring the latencies of the front again: 2 architectures"
    assert isinstance(study, Study)
    assert repr(study) == f"Study('custom_cnn-digits', 3 trials, {len(study.front)} on the front)"


def test_with_progress_it_says_what_the_command_says(configure, fakes, capsys):
    run_study(configure(trials=3), progress=True, parts=fakes.parts)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("study custom_cnn-digits: custom_cnn (4 stages, 4 blocks, weights pretrained) on digits")
    assert [line.split()[0] for line in lines[-4:-1]] == ["[1/3]", "[2/3]", "[3/3]"]


def test_the_front_is_best_first(configure, fakes):
    study = run_study(configure(trials=5), parts=fakes.parts)
    accuracies = [record.val_accuracy for record in study.front]
    assert accuracies == sorted(accuracies, reverse=True)
    assert study.best == study.front[0]
    assert study.best.candidate.resolution == 32
    assert (study.best.latency_ms, study.best.flops) == (3.2, 32**2 * 1000)
    assert [point["epoch"] for point in study.best.learning_curve] == [1, 2]
    assert len(study.records) == len(study.optuna.trials) == 5
    assert study.config.trials == 5


def test_nothing_complete(configure, fakes):
    study = run_study(configure(trials=1, max_gflops=1e-9), parts=fakes.parts)
    assert study.front == []
    with pytest.raises(BadInput, match="study custom_cnn-digits has no complete trial"):
        _ = study.best
    assert study._repr_html_() == "<p><b>custom_cnn-digits</b>: 1 trial, 0 on the Pareto front</p>"


def test_as_a_data_frame_and_as_a_figure(study):
    pytest.importorskip("pandas")
    frame = study.to_pandas()
    assert frame.index.tolist() == list(range(len(study.records)))
    complete = frame[frame["state"] == "complete"]
    assert complete["val_accuracy"].tolist() == [record.val_accuracy for record in study.records[:3]]
    figure = study.plot()
    assert figure.layout.xaxis.title.text == "latency (ms per picture, batch 1)"
    assert study.plot(against="flops").layout.xaxis.title.text == "MFLOPs per picture"
    with pytest.raises(BadInput, match="against must be one of latency, flops. Received: size"):
        study.plot(against="size")


def test_a_notebook_shows_the_front_as_table_and_picture(study):
    shown = study._repr_html_()
    assert shown.count("<tr>") == 1 + len(study.front)
    assert 'src="data:image/png;base64,iVBOR' in shown
    assert "<script" not in shown


def test_a_study_that_is_not_there(tmp_path, evaluated):
    with pytest.raises(StudyRefused, match=r"there is no study nosuch in .*Studies there: custom_cnn-digits"):
        load_study("nosuch", storage=evaluated.storage)
    with pytest.raises(StudyRefused, match="there is no database at"):
        load_study("nosuch", storage=f"sqlite:///{tmp_path}/none.db")
    with pytest.raises(BadInput, match="^storage must be sqlite:///FILE"):
        load_study("nosuch", storage="none.db")
    with pytest.raises(BadInput, match="^hypermodel takes the place of backbone. Received: both, backbone a.py:build"):
        load_study(evaluated.study_name, storage=evaluated.storage, backbone="a.py:build", hypermodel="b.py:Deep")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"pick": "best"}, "pick must be front or few. Received: best"),
        ({"seeds": 0}, "seeds must be an integer from 1 to 100. Received: 0"),
        ({"seeds": 1.5}, "seeds must be an integer from 1 to 100. Received: 1.5"),
        ({"trials": 7}, r"trials must be numbers of complete trials \(0, 1, 2\). Received: 7"),
        ({"trials": [7]}, r"trials must be numbers of complete trials \(0, 1, 2\). Received: 7"),
    ],
)
def test_what_cannot_be_evaluated(study, arguments, said):
    with pytest.raises(BadInput, match=said):
        study.evaluate(**arguments)


def test_models_are_best_first_and_found_by_name(study):
    models = study.models()
    assert len(models) == 3
    assert [model.accuracy for model in models] == sorted((model.accuracy for model in models), reverse=True)
    assert models.best is models[0]
    assert models["trial-2"] is models["2"]
    assert (models["2"].name, models["baseline"].name) == ("trial 2", "baseline")
    assert models["2"].interval[0] < models["2"].accuracy < models["2"].interval[1]
    assert models["2"].candidate == study.records[2].candidate
    assert models["2"].path.is_file()
    assert models["2"].class_names == tuple("0123456789")
    with pytest.raises(BadInput, match="^model must be one of those evaluated"):
        _ = models["9"]
    assert models._repr_html_().count("<tr>") == 1 + len(models)


@pytest.mark.usefixtures("here")
def test_files_images_and_arrays_are_predicted_alike(study, evaluated, tmp_path):
    pictures, _ = open_test("digits", None, picture_store(evaluated.cache_dir), None)
    image = Image.fromarray(pictures[0, ..., 0])
    image.save(tmp_path / "a.png")
    with study.models() as models:
        best = models.best
        first, *others = best.predict([tmp_path / "a.png", str(tmp_path / "a.png"), image, pictures[0]])
        assert others == [first] * 3
        assert first.probability == max(first.probabilities.values()) == first.probabilities[first.label]
        assert sum(first.probabilities.values()) == pytest.approx(1, abs=1e-5)
        assert best.predict(tmp_path / "a.png") == best.predict(image) == [first]
        many = best.predict(pictures[:3])
        assert (len(many), many[0]) == (3, first)
        assert best.predict([]) == []
    files = study.files.run(best.final.label, 0)
    with np.load(files.predictions, allow_pickle=False) as stored:
        assert first.probability == pytest.approx(stored["probabilities"][0].max(), abs=1e-5)


def test_its_folder_is_where_it_was_run(evaluated):
    assert load_study(evaluated.study_name, storage=evaluated.storage).out == evaluated.out


@pytest.mark.slow
def test_a_model_is_exported(evaluated, tmp_path, monkeypatch):
    monkeypatch.setattr("hpo.final.conversion.LONG_SECONDS", 0.1)
    shutil.copytree(evaluated.out, tmp_path / "runs")
    study = load_study(evaluated.study_name, storage=evaluated.storage, out=tmp_path / "runs")
    best = study.models()["2"]
    exported = best.export("litert")
    assert exported.path == study.files.exports("2") / "model.tflite"
    assert exported.path.stat().st_size == exported.numbers.bytes
    assert (exported.numbers.format, exported.original.format) == ("litert", "keras")
    with pytest.raises(BadInput, match="format must be one of savedmodel, onnx, litert, litert-int8. Received: pdf"):
        best.export("pdf")


def test_models_have_their_forms(evaluated, tmp_path):
    shutil.copytree(evaluated.out, tmp_path / "runs")
    study = load_study(evaluated.study_name, storage=evaluated.storage, out=tmp_path / "runs")
    models = study.models()
    assert (models.forms, models["2"].forms) == ([], [])
    run = models["2"].final.runs[0]
    form = made.form("litert", 0.001, study_id=run.study_id, label="2", run=digest_of(run))
    write_forms(study.files.forms("2"), [form])
    assert [one.form.format for one in models.forms] == ["keras", "litert"]
    assert [(one.best, one.on_front) for one in models["trial-2"].forms] == [(False, False), (True, True)]
    assert models["baseline"].forms == []
    pytest.importorskip("pandas")
    frame = models.forms_to_pandas()
    assert list(frame["model"] + " " + frame["format"]) == ["trial 2 keras", "trial 2 litert"]


def test_runtimes_are_checked_at_the_door(study):
    with pytest.raises(BadInput, match="^runtimes must be one of litert, litert-int8, onnx. Received: savedmodel$"):
        study.evaluate(runtimes=["savedmodel"])


def test_a_damaged_model_is_named(study, here, tmp_path):
    models = study.models()
    models.best.path = tmp_path / "model.keras"
    with pytest.raises(ModelError, match="model.keras is not the model that it should be"):
        models.best.predict(np.zeros((8, 8, 1), np.uint8))


def test_what_a_report_lacks_is_logged(study, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("BROWSER_PATH", raising=False)
    other = Study(study.optuna, study.storage, tmp_path, study.places)
    with caplog.at_level(logging.INFO, "hpo"):
        other.report(pdf=True, figures=False, pictures=False)
    assert "left out: report.pdf: no Chromium or Chrome was found on the PATH or as BROWSER_PATH" in caplog.messages


def test_models_predict_on_the_device_that_was_given(study, evaluated):
    chosen = load_study(evaluated.study_name, storage=evaluated.storage, device="cpu")
    assert (chosen.models()._device, study.models()._device, study.models("gpu:1")._device) == ("cpu", "auto", "gpu:1")
    with pytest.raises(
        BadInput, match="^device must be auto, cpu, gpu or gpu:N with N the number of the GPU. Received: tpu"
    ):
        study.models("tpu")
    with pytest.raises(
        BadInput, match="^device must be auto, cpu, gpu or gpu:N with N the number of the GPU. Received: tpu"
    ):
        load_study(evaluated.study_name, storage=evaluated.storage, device="tpu")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda study: study.convert("2", ["pdf"]), "format must be one of"),
        (lambda study: compare_studies([]), "studies must name at least one study"),
        (
            lambda study: compare_studies([study, Study(study.optuna, "sqlite:///other.db", study.out, {})]),
            "studies of one name cannot be told apart",
        ),
    ],
)
def test_what_cannot_be_asked_for(study, call, said):
    with pytest.raises(BadInput, match=said):
        call(study)


def test_a_report_is_a_page(study, tmp_path):
    other = Study(study.optuna, study.storage, tmp_path, study.places)
    page = other.report(figures=False, pictures=False)
    assert page == tmp_path / study.name / "report" / "index.html"
    assert "custom_cnn on digits" in page.read_text()


def test_tables_and_plots_are_written(study, tmp_path):
    written = Study(study.optuna, study.storage, tmp_path, study.places).export()
    assert {path.parent for path in written} == {tmp_path / study.name}
    assert {path.name for path in written} >= {"front.csv", "trials.json", "accuracy_latency.png"}


def test_studies_are_compared(configure, fakes):
    for number in (1, 2):
        run_study(configure(trials=2, study=f"s{number}"), parts=fakes.parts)
    compared = compare_studies(["s1", "s2", "s1"], storage=configure().storage, out=configure().out)
    assert [study.name for study in compared.studies] == ["s1", "s2"]
    assert [(row.backbone, row.kind) for row in compared.rows[:1]] == [("custom_cnn", "pretrained, frozen")]
    assert compared.folder == configure().out / "comparison-digits"
    assert "<table" in compared._repr_html_()


CALLS = {
    run: ("run_study", ["--trials", "1"]),
    evaluate: ("load_study", ["s"]),
    predict: ("load_study", ["s", "a.png"]),
    export: ("load_study", ["s"]),
    report: ("load_study", ["s"]),
    compare: ("compare_studies", ["s"]),
    dashboard: ("serve_dashboard", []),
}


class CalledError(Exception):
    pass


@pytest.mark.parametrize("command", CALLS, ids=lambda command: command.__name__)
def test_the_seven_commands_are_calls_of_it(command, monkeypatch, tmp_path):
    name, words = CALLS[command]

    def called(*arguments, **options):
        raise CalledError

    monkeypatch.setattr(f"hpo.study.{name}", called)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(command.main, words)
    assert isinstance(done.exception, CalledError), done.output
    assert list(tmp_path.iterdir()) == []  # nothing is done beside it


def test_nothing_reads_the_arguments_or_changes_the_environment_but_commands_and_workers():
    for path in [ROOT / "hpo" / "study.py", *(ROOT / "hpo").glob("*/*.py")]:
        names = {ast.unparse(node) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
        assert "sys.argv" not in names, path
        workers = ("pool.py", "cluster_worker.py", "cluster_start.py")  # Ray reads its variables when it is imported
        assert "os.environ.update" not in names or path.name in workers, path


SCRIPT = """
from hpo import StudyConfig, run_study

config = StudyConfig(trials=1, epochs=1, train_size=60, val_size=20, resolutions=(16,), cache_dir="cache")
{call}
"""


def script(tmp_path, call):
    (tmp_path / "mine.py").write_text(SCRIPT.format(call=textwrap.dedent(call)))
    return subprocess.run(
        [sys.executable, "mine.py"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.slow
def test_without_the_guard_a_script_ends_in_one_line(tmp_path):
    done = script(tmp_path, "run_study(config)")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        'hpo.errors.BadInput: mine.py, line 5: put what calls it below `if __name__ == "__main__":`, since each worker '
        "process runs the script again"
    )


@pytest.mark.slow
def test_a_script_on_standard_input_ends_in_one_line(tmp_path):
    done = subprocess.run(
        [sys.executable],
        input=SCRIPT.format(call='if __name__ == "__main__": run_study(config)'),
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stderr.splitlines()[-1] == (
        "hpo.errors.BadInput: the main script <stdin> must be a file on disk, since each worker process runs the "
        "script again"
    )


@pytest.mark.slow
def test_as_a_script_with_workers(tmp_path):
    call = """
    if __name__ == "__main__":
        study = run_study(config)
        print(study, len(study.front))
    """
    done = script(tmp_path, call)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "Study('custom_cnn-digits', 1 trial, 1 on the front) 1\n"
