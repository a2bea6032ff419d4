"""A HyperModel of KerasTuner's own documentation from run to report and export, in processes of their own."""

import json
import re
from pathlib import Path

import pytest

from studies.fingerprint import fingerprint_of
from studies.records import read_study
from tests.test_own_networks import PICTURE, ROOT, Folder

PAGE = (ROOT / "docs" / "kerastuner.md").read_text()
(HYPERMODEL,) = re.findall(r"<!-- file tuned.py -->\n```python\n(.*?)```", PAGE, re.DOTALL)
NAME, CODE = "tuned.MyHyperModel-digits", ["--hypermodel", "tuned.py:MyHyperModel"]
SMALL = ["--dataset", "digits", "--train-size", "300", "--val-size", "150", "--epochs", "3"]
NAMES = ["num_layers", "units_0", "activation", "dropout", "lr", "units_1", "units_2", "shuffle"]


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    folder = Folder(tmp_path_factory.mktemp("tuned"))
    (folder.path / "tuned.py").write_text(HYPERMODEL)
    for trials in ("2", "4"):  # the second goes on with the first
        code, out, err = folder.type("run", *CODE, *SMALL, "--trials", trials)
        assert code == 0, err
    assert "2 of 4 trials done, continuing" in out
    code, _, err = folder.type("evaluate", NAME, *CODE, "--seeds", "1", "--pick", "few", "--runtimes", "litert")
    assert code == 0, err
    return folder


@pytest.mark.slow
class TestHyperModel:
    def test_its_trials_have_its_hyperparameters(self, searched: Folder) -> None:
        rows = json.loads((searched.path / "runs" / NAME / "trials.json").read_text())
        assert len(rows) == 4
        assert [name for name in rows[0] if name in NAMES] == NAMES
        first = [rows[0][name] for name in ("num_layers", "units_0", "activation", "dropout", "lr", "shuffle")]
        assert first == [1, 32, "relu", False, 1e-4, False]  # KerasTuner's defaults
        assert rows[0]["macs"] == 64 * 32 + 32 * 10
        assert "resolution" not in rows[0]

    def test_the_study_keeps_its_code(self, searched: Folder) -> None:
        mark = fingerprint_of(searched.study(NAME))
        assert mark.is_hypermodel and mark.code_words == " --hypermodel tuned.py:MyHyperModel"
        assert mark.space["lr"] == "0.0001 to 0.01, logarithmic"
        assert all(record.measured_again for record in read_study(searched.study(NAME)) if record.val_accuracy == 1)

    def test_the_report_says_what_it_is(self, searched: Folder) -> None:
        code, _, err = searched.type("report", NAME, *CODE)
        assert code == 0, err
        page = (searched.path / "runs" / NAME / "report" / "index.html").read_text()
        assert "builds and trains the HyperModel with other values of its hyperparameters" in page
        assert "python -m hpo.run --hypermodel tuned.py:MyHyperModel --dataset digits" in page
        for words in ("pretrained baseline", "stages", "blocks kept"):
            assert words not in page

    def test_final_models_predict_and_are_exported(self, searched: Folder) -> None:
        code, out, err = searched.type("predict", NAME, PICTURE, *CODE)
        assert code == 0 and re.search(r"front.png +\d +0\.\d+", out), err
        trial = next(path.name for path in sorted((searched.path / "runs" / NAME / "final").iterdir()) if path.is_dir())
        assert (searched.path / "runs" / NAME / "exports" / f"trial-{trial}" / "model.tflite").is_file()
        import keras

        model = keras.saving.load_model(searched.path / "runs" / NAME / "final" / trial / "seed-0" / "model.keras")
        assert model.input_shape == (None, 8, 8, 1)

    def test_without_its_code_only_what_needs_none_works(self, searched: Folder) -> None:
        code, _, err = searched.type("predict", NAME, PICTURE)
        assert code == 2 and "was not named" in err and "Traceback" not in err
        assert searched.type("export", NAME)[0] == 0
        assert searched.type("report", NAME)[0] == 0

    def test_other_code_is_refused(self, searched: Folder) -> None:
        path: Path = searched.path / "tuned.py"
        path.write_text(HYPERMODEL + "\n# changed\n")
        code, _, err = searched.type("run", *CODE, *SMALL, "--trials", "5")
        path.write_text(HYPERMODEL)
        assert code == 2 and "source" in err and "Traceback" not in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--hypermodel", "tuned.py:MyHyperModel", "--backbone", "vgg16"], "--hypermodel takes the place of backbone"),
        ([*CODE, "--keep", "full"], "--keep must be left out with a HyperModel. Received: full"),
        ([*CODE, "--resolutions", "16"], "--resolutions must be left out with a HyperModel on digits"),
        ([*CODE, "--sampler", "planner"], "--sampler must be left out with a HyperModel. Received: planner"),
        (["--hypermodel", "none.py:A"], "there is no file none.py"),
        (["--hypermodel", "tuned"], "must be named as"),
    ],
)
def test_mistakes_get_a_line(tmp_path: Path, words: list[str], message: str) -> None:
    (tmp_path / "tuned.py").write_text(HYPERMODEL)
    code, _, err = Folder(tmp_path).type("run", "--dataset", "digits", *words)
    assert code == 2 and message in err and len(err.strip().splitlines()) == 1
