"""A new dimension is a row and a field in `models.candidate`: everything else reads the table."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from datasets.augmentation import AUGMENTATIONS
from hpo.config import OPTIONAL, StudyConfig
from models.candidate import DIMENSIONS, FIELDS, Candidate
from models.dimension import Searched

ROOT = Path(__file__).parent.parent
END_OF_TABLE = "\n)  # fmt: skip\n"
ROW = """
    Dimension(name="momentum", values=Range(0.5, 0.99), check=SHARE, searched=ON_REQUEST, default=0.9,
              part="training", title="momentum (share)", words="momentum {0.momentum:.2f}"),"""
LAST_FIELD = '    strategy: str = DIMENSIONS["strategy"].default\n'
FIELD = '    momentum: float = DIMENSIONS["momentum"].default\n'
LOOK = """
import dataclasses, json, optuna
from click.testing import CliRunner
from hpo.config import make_config
from hpo.run import main
from hpo.search.space import first_candidates, make_space, parameters, suggest
from studies.outcomes import Latency, Measurement
from studies.records import CompleteTrial
from studies.report import model_tables, parallel
from studies.tables import trials

space = make_space(make_config({"search": "momentum"}), (1, 2, 3, 4), (16, 32))
first = first_candidates(space)[0]
changed = dataclasses.replace(first, momentum=0.5)
latency = Latency(1.0, 1.0, 1.0, 1.0, 50, 1, "a CPU", "none", "float32")
cost = Measurement(1.0, latency, 1, 2, 0, 3)
known = {"val_accuracy": 0.5, "best_epoch": 1, "trainable_parameters": 1, "measurement": cost}
records = [CompleteTrial(number=n, candidate=one, **known) for n, one in enumerate((first, changed))]
table = model_tables.space_table(space.describe())
print(json.dumps({
    "help": CliRunner().invoke(main, ["--help"], prog_name="hpo.run").output,
    "fingerprint": space.describe()["momentum"],
    "plain": "momentum" in make_space(make_config({}), (1, 2, 3, 4), (16, 32)).describe(),
    "drawn": [suggest(optuna.create_study().ask(), space).momentum for _ in range(20)],
    "queued": parameters(first, space)["momentum"],
    "columns": trials.COLUMNS,
    "row": trials.row(records[1], False)["momentum"],
    "words": [trials.describe(record.candidate) for record in records],
    "axes": [axis.title for axis in parallel.axes(records)],
    "space": dict(table.rows)["momentum"],
    "stored": changed.to_dict()["momentum"],
}))
"""


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What a copy of this program that searches one dimension more says of it."""
    copy = tmp_path_factory.mktemp("copy")
    for package in ("hpo", "studies", "models", "datasets"):
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    path = copy / "models" / "candidate.py"
    text = path.read_text(encoding="utf-8")
    assert text.count(END_OF_TABLE) == text.count(LAST_FIELD) == 1
    text = text.replace(END_OF_TABLE, ROW + END_OF_TABLE).replace(LAST_FIELD, LAST_FIELD + FIELD)
    path.write_text(text, encoding="utf-8")
    done = subprocess.run([sys.executable, "-c", LOOK], cwd=copy, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_new_dimension_is_searched_on_request(seen):
    words = " ".join(seen["help"].split())
    assert f"separated by commas: {', '.join([*OPTIONAL, 'momentum'])}" in words
    assert seen["fingerprint"] == [0.5, 0.99]
    assert not seen["plain"]
    assert all(0.5 <= momentum <= 0.99 for momentum in seen["drawn"]) and len(set(seen["drawn"])) > 1
    assert seen["queued"] == 0.9


def test_a_new_dimension_is_shown(seen):
    assert seen["columns"][4 + len(FIELDS)] == "momentum"
    assert seen["row"] == seen["stored"] == 0.5
    assert [words.endswith(", momentum 0.50") for words in seen["words"]] == [False, True]
    assert seen["axes"] == ["momentum (share)", "latency (ms)", "FLOPs", "val_accuracy"]
    assert seen["space"] == "0.5 to 0.99"


def test_each_field_of_a_candidate_has_a_row():
    candidate = Candidate(
        backbone="vgg19",
        unfreeze_depth=0,
        head_width=0,
        dropout=0.0,
        learning_rate=1e-3,
        lr_schedule="constant",
        resolution=32,
    )
    assert list(candidate.to_dict()) == ["backbone", *(name for name in FIELDS if name != "keep_blocks")]
    assert set(vars(candidate)) == {"backbone", *FIELDS}
    defaults = {name: one.default for name, one in DIMENSIONS.items() if one.default is not None}
    assert {name: getattr(candidate, name) for name in defaults} == defaults


def test_options_that_decide_a_dimension_exist():
    for one in DIMENSIONS.values():
        assert not one.option or one.option in StudyConfig.model_fields
        assert one.searched != Searched.LISTED or one.option
        assert set(one.under) <= set(FIELDS)
        assert bool(one.under) == bool(one.only)
        assert one.field in FIELDS


def test_the_augmentations_that_are_searched_are_those_that_there_are():
    assert DIMENSIONS["augmentation"].values == AUGMENTATIONS
