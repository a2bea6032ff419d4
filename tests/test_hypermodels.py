"""A HyperModel of KerasTuner's own documentation from run to report and export, in processes of their own."""

import json
import re
from pathlib import Path

import keras
import pytest

from hpo import load_study
from models.own import registry
from studies.fingerprint import fingerprint_of
from tests.test_own_networks import PICTURE, ROOT, Folder

PAGE = (ROOT / "docs" / "kerastuner.md").read_text()
(HYPERMODEL,) = re.findall(r"<!-- file tuned.py -->\n```python\n(.*?)```", PAGE, re.DOTALL)
NAME, CODE = "tuned.MyHyperModel-digits", ["--hypermodel", "tuned.py:MyHyperModel"]
SMALL = ["--dataset", "digits", "--train-size", "300", "--val-size", "150", "--epochs", "1"]


@pytest.mark.slow
def test_from_run_to_report_and_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One test, since each step goes on with the one before."""
    folder, runs = Folder(tmp_path), tmp_path / "runs" / NAME
    (tmp_path / "tuned.py").write_text(HYPERMODEL)

    def typed(command: str, *words: str) -> str:
        code, out, err = folder.type(command, *words)
        assert code == 0, err
        return out

    said = typed("run", *CODE, *SMALL, "--trials", "2")
    assert (
        "tuned.MyHyperModel asks for num_layers, units_0, activation, dropout, lr, units_1, units_2, shuffle\n" in said
    )
    assert "2 of 4 trials done, continuing" in typed("run", *CODE, *SMALL, "--trials", "4")
    rows = json.loads((runs / "trials.json").read_text())
    names = ("num_layers", "units_0", "activation", "dropout", "lr", "shuffle")
    assert len(rows) == 4 and "resolution" not in rows[0]
    assert [rows[0][name] for name in names] == [1, 32, "relu", False, 1e-4, False]  # KerasTuner's defaults
    assert rows[0]["macs"] == 64 * 32 + 32 * 10
    for row in rows:  # what nothing asks for has no value
        assert [row.get(f"units_{number}") is not None for number in (1, 2)] == [
            row["num_layers"] > 1,
            row["num_layers"] > 2,
        ]

    mark = fingerprint_of(folder.study(NAME))
    assert mark.is_hypermodel and mark.code_words == " --hypermodel tuned.py:MyHyperModel"
    assert mark.space["lr"] == "0.0001 to 0.01, logarithmic"
    assert mark.space["units_2 (num_layers = 3)"] == "32 to 512 in steps of 32"

    typed("evaluate", NAME, *CODE, "--seeds", "1", "--trials", "0", "--runtimes", "litert")
    assert (runs / "exports" / "trial-0" / "model.tflite").is_file()
    model = keras.saving.load_model(runs / "final" / "0" / "seed-0" / "model.keras")
    assert model.input_shape == (None, 8, 8, 1)

    code, _, err = folder.call("report", NAME, *CODE)
    assert code == 0, err
    page = (runs / "report" / "index.html").read_text()
    assert "builds and trains the HyperModel with other values of its hyperparameters" in page
    assert "python -m hpo.run --hypermodel tuned.py:MyHyperModel --dataset digits" in page
    for words in ("pretrained baseline", "stages", "blocks kept"):
        assert words not in page

    monkeypatch.setattr(registry, "_known", {})
    place = {"storage": f"sqlite:///{tmp_path}/studies.db", "hypermodel": f"{tmp_path}/tuned.py:MyHyperModel"}
    said = load_study(NAME, **place, out=tmp_path / "runs").models().best.predict(PICTURE)[0].label
    assert re.search(rf"front.png +{said} +0\.\d+", typed("predict", NAME, PICTURE, *CODE))

    code, _, err = folder.call("predict", NAME, PICTURE)  # without its code
    assert code == 2 and "was not named" in err and "Traceback" not in err
    code, _, err = folder.call("export", NAME)
    assert code == 0, err


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
