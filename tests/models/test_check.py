"""The command that looks at a network of your own: its page, its exit codes, its one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from models import check

NETWORK = """
import keras

@keras.saving.register_keras_serializable("tests_check")
class Gain(keras.layers.Layer):
    def build(self, shape):
        self.gain = self.add_weight(shape=(shape[-1],), initializer="ones", name="gain")

    def call(self, x):
        return x * self.gain

def preprocess(x):
    return keras.layers.Rescaling(1 / 255)(x)

def build(shape):
    inputs = keras.Input(shape)
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same", activation="relu", name="stem")(inputs)
    x = Gain(name="gain")(x)
    return keras.Model(inputs, keras.layers.Conv2D(8, 3, padding="same", name="last")(x))
"""
REGISTERED = "from models.flops import register_flops\nregister_flops(Gain, lambda call: (0, call.n_out))\n"


def status(arguments: list[str]) -> int:
    with pytest.raises(SystemExit) as ended:
        check.command(arguments)
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_a_network_that_keeps_the_contract(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "good.py"
    path.write_text(NETWORK + REGISTERED)
    assert status([f"{path}:build", "--resolution", "32"]) == 0
    said = capsys.readouterr().out
    lines = [" ".join(line.split()) for line in said.splitlines()]
    assert lines[0] == "good, pictures of 32 x 32 pixels"
    assert "parameters 412" in lines  # 3 * 3 * 3 * 4 + 4, 4, 3 * 3 * 4 * 8 + 8
    assert "FLOPs 0.20 M (2 for each multiply-accumulate)" in lines  # 2 * 16 * 16 * (108 + 288)
    assert "1 gain 16 x 16 x 4 0.06 27%" in lines
    assert "2 last 16 x 16 x 8 0.20 100%" in lines
    assert lines[-1] == "good keeps the contract of a backbone"


def test_one_that_does_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "unknown.py"
    path.write_text(NETWORK.replace("tests_check", "tests_unknown"))
    assert status([f"{path}:build"]) == 1
    said = capsys.readouterr().out
    assert "FLOPs       unknown" in said
    assert (
        "problem: layer 'gain' of class Gain has no FLOPs formula: models.flops.register_flops(Gain, formula)" in said
    )
    assert said.splitlines()[-1] == "unknown does not keep the contract of a backbone"


@pytest.mark.parametrize("network", ["nothing", "nowhere/file.py:build"])
def test_a_mistake_is_one_line(network: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status([network]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1
