"""The command that maps networks."""

import csv
import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from hpo.map import main

PICTURES = {f"map_{cost}.{kind}" for cost in ("latency", "flops") for kind in ("html", "png", "svg", "pdf")}


def test_from_scratch_there_is_nothing_to_map(tmp_path):
    done = CliRunner().invoke(main, ["--weights", "none", "--out", str(tmp_path), "--cache-dir", str(tmp_path / "c")])
    assert done.exit_code == 2
    assert done.output.strip() == (
        "error: --weights must be pretrained or a .h5 file: a map is of frozen features. Received: none"
    )
    assert not (tmp_path / "map-digits").exists()


@pytest.mark.parametrize(("option", "value"), [("--map-size", "3"), ("--backbone", "vgg91"), ("--resolutions", "x")])
def test_wrong_options_are_one_line(option, value):
    done = CliRunner().invoke(main, [option, value])
    assert done.exit_code == 2
    assert done.output.startswith(f"error: {option} ") and done.output.count("\n") == 1


@pytest.mark.slow
def test_two_networks_and_again(tmp_path):
    command = [sys.executable, "-m", "hpo.map", "--backbone", "custom_cnn", "--dataset", "digits"]
    command += ["--resolutions", "8,16", "--train-size", "300", "--val-size", "150", "--out", str(tmp_path / "runs")]
    command += ["--cache-dir", str(tmp_path / "cache")]
    first, again = (
        subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | {"COLUMNS": "200"})
        for _ in range(2)
    )
    folder = tmp_path / "runs" / "map-digits"
    assert {path.name for path in folder.iterdir()} == PICTURES | {"map.csv", "map.json"}
    rows = json.loads((folder / "map.json").read_text())
    assert [(row["resolution"], row["keep_blocks"]) for row in rows] == [
        (side, blocks) for side in (8, 16) for blocks in (1, 2, 3, 4)
    ]
    assert {row["state"] for row in rows} == {"probe"}
    assert max(row["val_accuracy"] for row in rows) > 0.9
    assert len(list(csv.DictReader((folder / "map.csv").read_text().splitlines()))) == 8
    assert "map at 8 px: val_accuracy" in first.stdout and "map at 8 px" not in again.stdout
    table = first.stdout[first.stdout.index("Map: the ") :]
    assert table.split("Files in")[0] == again.stdout[again.stdout.index("Map: the ") :].split("Files in")[0]
