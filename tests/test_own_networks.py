"""A network of one's own from map and run to report and export, in processes of their own, as its owner would.

What needs no process of its own, such as most refusals, is called in this one: a process costs seconds.
"""

import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from models.own import registry
from studies.attributes import FINGERPRINT, OPTIONS
from studies.fingerprint import fingerprint_of
from studies.storage import load_study
from tests.places import cache_in

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "own_networks.md").read_text()
(NETWORK,) = re.findall(r"<!-- file lab.py -->\n```python\n(.*?)```", PAGE, re.DOTALL)
PICTURE = str(ROOT / "docs" / "front.png")
# Where latency is not the point: LiteRT costs a process more, which converts networks.
QUICK = ["--latency-runtime", "keras"]
SMALL = ["--dataset", "digits", "--train-size", "300", "--val-size", "150", "--resolutions", "8,16"]


class Folder:
    """A user's folder, in which commands are typed."""

    def __init__(self, path: Path):
        self.path = path
        self.variables = {"HPO_CACHE_DIR": str(cache_in(path)), "COLUMNS": "200"}

    def type(self, command: str, *words: str) -> tuple[int, str, str]:
        return self.python("-m", _module(command), *words)

    def python(self, *words: str) -> tuple[int, str, str]:
        environment = {key: value for key, value in os.environ.items() if key != "HPO_STORAGE"}
        environment |= {"PYTHONPATH": str(ROOT), **self.variables}
        done = subprocess.run(
            [sys.executable, *words], cwd=self.path, env=environment, capture_output=True, text=True, timeout=600
        )
        return done.returncode, done.stdout, done.stderr

    def call(self, command: str, *words: str) -> tuple[int, str, str]:
        """As `type`, but in this process, which knows of no code either."""
        module = importlib.import_module(_module(command))
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.path)
            patch.setattr(registry, "_known", {})
            done = CliRunner().invoke(
                getattr(module, "main", None) or module.command, words, env=self.variables | {"HPO_STORAGE": None}
            )
        return done.exit_code, done.stdout, done.stderr

    def study(self, name: str = "lab-digits"):
        return load_study(f"sqlite:///{self.path}/studies.db", name)


def _module(command: str) -> str:
    return command if "." in command else f"hpo.{command}"


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """A search that begins with a map, by the script of the docs."""
    folder = Folder(tmp_path_factory.mktemp("lab"))
    (folder.path / "lab.py").write_text(NETWORK)
    (script,) = re.findall(r"## In Python\n\n```python\n(.*?)```", PAGE, re.DOTALL)
    small = "train_size=300, val_size=150, resolutions=(8, 16), epochs=1, trials=2"
    (folder.path / "script.py").write_text(script.replace("trials=10", small))
    code, _, err = folder.python("script.py")
    assert code == 0, err
    return folder


@pytest.fixture(scope="module")
def searched(begun: Folder) -> Folder:
    """The same, with two more trials and a final model, by commands that go on with the study as if it were theirs."""
    own = ["--backbone", "lab.py:build"]
    code, out, err = begun.type("run", *own, *SMALL, "--epochs", "1", "--trials", "4")
    assert code == 0, err
    assert "2 of 4 trials done, continuing" in out
    code, _, err = begun.type("evaluate", "lab-digits", *own, "--seeds", "1", "--trials", "0")
    assert code == 0, err
    return begun


@pytest.mark.slow
class TestOwnNetwork:
    def test_the_map_has_every_block_at_every_side(self, searched: Folder) -> None:
        rows = json.loads((searched.path / "runs" / "lab-digits" / "map.json").read_text())
        assert [(row["backbone"], row["resolution"], row["keep_blocks"]) for row in rows] == [
            ("lab", side, blocks) for side in (8, 16) for blocks in (1, 2, 3)
        ]

    def test_it_is_profiled(self, searched: Folder) -> None:
        words = ["--backbone", "lab.py:build", "--no-top", "--resolution", "16", "--json"]
        code, out, err = searched.call("models.profile", *words)
        assert code == 0, err
        assert json.loads(out)["macs"] == 8 * 8 * 27 * 8 + 4 * 4 * 72 * 16 + 2 * 2 * 144 * 32

    def test_the_study_keeps_its_code(self, searched: Folder) -> None:
        mark = fingerprint_of(searched.study())
        assert mark.backbone == "lab"
        assert re.fullmatch("lab.py:build ([0-9a-f]{64}) and lab.py:preprocess \\1", mark.source or "")
        assert mark.code == "lab.py:build"

    def test_it_is_refused_when_the_code_has_changed(self, searched: Folder) -> None:
        words = ["--backbone", "lab.py:build", *SMALL, "--epochs", "1"]
        trials = len(searched.study().trials)
        (searched.path / "lab.py").write_text(NETWORK + "# changed\n")
        try:
            code, _, err = searched.type("run", *words, "--trials", "6")
            assert (code, err.count("\n")) == (2, 1) and "source" in err
            for command, others in {"evaluate": ["--seeds", "1"], "predict": [PICTURE]}.items():
                code, _, err = searched.type(command, "lab-digits", "--backbone", "lab.py:build", *others)
                assert (code, err.count("\n")) == (2, 1)
                assert "the code of lab has changed. Received: lab.py:build " in err
        finally:
            (searched.path / "lab.py").write_text(NETWORK)
        assert len(searched.study().trials) == trials

    def test_tables_and_report_need_no_code(self, searched: Folder) -> None:
        code, _, err = searched.call("export", "lab-digits")
        assert code == 0, err
        code, out, err = searched.call("report", "lab-digits", "--no-figures")
        assert code == 0, err
        assert "missing: pictures of lab-digits: backbone must be a known network. Received: lab" in out
        page = (searched.path / "runs" / "lab-digits" / "report" / "index.html").read_text()
        assert "python -m hpo.evaluate lab-digits --backbone lab.py:build" in page
        assert "python -m hpo.run --backbone lab.py:build --dataset digits" in page

    def test_the_report_with_its_code_has_pictures(self, searched: Folder) -> None:
        code, out, err = searched.call("report", "lab-digits", "--no-figures", "--backbone", "lab.py:build")
        assert code == 0, err
        assert "missing" not in out + err

    @pytest.mark.parametrize("command", ["evaluate", "predict"])
    def test_what_builds_it_asks_for_its_code(self, searched: Folder, command: str) -> None:
        picture = [PICTURE] if command == "predict" else []
        code, _, err = searched.call(command, "lab-digits", *picture)
        assert (code, err.count("\n")) == (2, 1)
        assert "backbone must be a known network. Received: lab." in err
        assert "one of your own is named by its code, such as path/file.py:build" in err

    def test_final_models_predict_and_are_exported(self, searched: Folder) -> None:
        own = ["--backbone", "lab.py:build"]
        code, _, err = searched.type("predict", "lab-digits", PICTURE, *own)
        assert code == 0, err
        final = searched.path / "runs" / "lab-digits" / "final"
        code, _, err = searched.call("export", "lab-digits", *own, "--trial", "0", "--format", "litert")
        assert code == 0, err
        model = str(final / "0" / "seed-0" / "model.keras")
        code, out, err = searched.python("-c", f"import keras, lab; print(keras.saving.load_model({model!r}).name)")
        assert out.startswith("lab_"), err

    def test_a_database_that_names_code_imports_nothing(self, searched: Folder) -> None:
        """Whoever made the database wrote a place of code where the name of the network stands."""
        bad = searched.path / "bad.py"
        bad.write_text("import pathlib\npathlib.Path('was_here').touch()\n")
        study = searched.study()
        options = study.user_attrs[OPTIONS]
        study.set_user_attr(OPTIONS, options | {"backbone": f"{bad}:build"})
        mark = study.user_attrs[FINGERPRINT]
        study.set_user_attr(FINGERPRINT, mark | {"source": f"{bad}:build {'0' * 64}"})
        try:
            code, _, err = searched.call("evaluate", "lab-digits")
            assert code == 2 and f"backbone must be a known network. Received: {bad}:build" in err
            code, out, _ = searched.call("report", "lab-digits", "--no-figures")
            assert code == 0 and "missing: pictures of lab-digits: " in out
        finally:
            study.set_user_attr(OPTIONS, options)
            study.set_user_attr(FINGERPRINT, mark)
        assert not (searched.path / "was_here").exists()


@pytest.mark.slow
def test_random_weights_are_refused_and_trained_from_scratch(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    (tmp_path / "fresh.py").write_text(NETWORK.replace(", kernel_initializer=kernel", ""))
    words = ["--backbone", "fresh.py:build", *SMALL, *QUICK, "--epochs", "1", "--trials", "1", "--no-map"]
    code, _, err = folder.call("run", *words, "--workers", "0")
    assert (code, err.count("\n")) == (2, 1)
    assert "fresh cannot be searched: build gives other weights each time" in err
    code, _, err = folder.type("run", *words, "--weights", "none")
    assert code == 0, err
    assert fingerprint_of(folder.study("fresh-digits-scratch")).from_scratch
    trained = ["--dataset", "digits", "--resolution", "8", "--epochs", "1", "--output", "fresh.weights.h5"]
    code, _, err = folder.call("models.pretrain", "--backbone", "fresh.py:build", *trained)
    assert code == 0, err
    code, _, err = folder.type("run", *words, "--weights", "fresh.weights.h5", "--study", "trained")
    assert code == 0, err
    assert not fingerprint_of(folder.study("trained")).from_scratch


@pytest.mark.slow
def test_a_saved_model_is_searched(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    (tmp_path / "make.py").write_text(
        re.sub(r"x = Gain\(\)\(x\)", "pass", NETWORK) + "\nmodel = build((16, 16, 3))\n"
        "top = keras.layers.Dense(10)(keras.layers.GlobalAveragePooling2D()(model.output))\n"
        "keras.Model(model.input, top).save('kept.keras')\n"
    )
    subprocess.run([sys.executable, "make.py"], cwd=tmp_path, check=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    words = ["--backbone", "kept.keras", "--dataset", "digits", "--train-size", "300", "--val-size", "150"]
    code, _, err = folder.type("run", *words, *QUICK, "--resolutions", "16,32", "--epochs", "1", "--trials", "2")
    assert code == 0, err
    assert fingerprint_of(folder.study("kept-digits")).code == "kept.keras"


@pytest.mark.slow
def test_a_map_of_ones_own_pictures(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    (tmp_path / "lab.py").write_text(NETWORK)
    rng = np.random.default_rng(0)
    for label, low in (("dark", 0), ("light", 128)):
        (tmp_path / "pictures" / label).mkdir(parents=True)
        for number in range(40):
            pixels = rng.integers(low, low + 128, (20, 20, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pictures" / label / f"{number}.png")
    code, _, err = folder.type("map", "--backbone", "lab.py:build", "--dataset", "pictures")
    assert code == 0, err
    rows = json.loads((tmp_path / "runs" / "map-pictures" / "map.json").read_text())
    assert {row["resolution"] for row in rows} == {8, 16, 24, 32}
    several = ["--backbone", "lab.py:build,custom_cnn", "--dataset", "pictures"]
    code, _, err = folder.call("map", *several)
    assert (code, err.count("\n")) == (2, 1) and "--resolutions must be given where lab, a network of your own" in err


@pytest.mark.slow
def test_a_preset_of_keras_hub_is_searched(tmp_path: Path) -> None:
    """One whose layers are made of layers, some of which have weights of their own."""
    presets = pytest.importorskip("tests.models.own.presets", reason="the extra hub is not installed")
    takes = presets.hub.layers.HGNetV2ImageConverter(image_size=(32, 32), scale=1 / 64, offset=-2.0)
    presets.folder_of(tmp_path / "mine", presets.small("hgnet_v2"), takes)
    folder = Folder(tmp_path)
    own = ["--backbone", "keras_hub:mine"]
    words = ["--dataset", "digits", "--train-size", "300", "--val-size", "150", "--resolutions", "32", "--epochs", "1"]
    code, out, err = folder.type("run", *own, *words, *QUICK, "--trials", "1", "--no-map")
    assert code == 0, err
    assert "python -m hpo.evaluate mine-digits --backbone keras_hub:mine" in out
    mark = fingerprint_of(folder.study("mine-digits"))
    assert re.fullmatch("keras_hub:mine [0-9a-f]{64}", mark.source or "")
    code, _, err = folder.type("evaluate", "mine-digits", *own, "--seeds", "1", "--pick", "few")
    assert code == 0, err
    code, out, err = folder.call("predict", "mine-digits", PICTURE, *own)
    assert code == 0, err
    presets.small("hgnet_v2").save_to_preset(str(tmp_path / "mine"))  # with other weights
    code, _, err = folder.call("predict", "mine-digits", PICTURE, *own)
    assert (code, err.count("\n")) == (2, 1)
    assert "the code of mine has changed. Received: keras_hub:mine " in err
