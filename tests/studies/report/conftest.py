"""Made-up studies: what a report is made from, with numbers written by hand."""

import dataclasses
import json
import zipfile

import numpy as np
import pytest

from models.candidate import Candidate
from studies.finals import FinalRun, Predictions, summarise
from studies.records import State
from studies.report.detail import ModelFile
from studies.report.material import Material
from studies.report.page import render
from studies.scores import score
from tests import made
from tests.browser import browser  # noqa: F401  (fixture)


@pytest.fixture
def make_material():
    def make(records, **changes):
        values = {"name": "custom_cnn-digits", "fingerprint": made.fingerprint(), "records": records}
        return Material(**values | changes)

    return make


@pytest.fixture
def curved(make_record):
    """Five trials with curves: 0 the baseline, 1 the recommended one, 2 the most accurate; 3 stopped, 4 a duplicate."""

    def curve(*accuracies):
        return [
            {"epoch": n, "loss": 2 / n, "accuracy": accuracy, "val_loss": 2 / n, "val_accuracy": accuracy}
            for n, accuracy in enumerate(accuracies, start=1)
        ]

    linear = Candidate(
        backbone="custom_cnn",
        unfreeze_depth=0,
        head_width=0,
        dropout=0.2,
        learning_rate=3e-3,
        lr_schedule="cosine",
        resolution=16,
    )
    return [
        make_record(0, 0.6, 1.0, 10, candidate=linear, epochs=4, learning_curve=curve(0.3, 0.5, 0.6, 0.6)),
        make_record(1, 0.85, 1.5, 12, epochs=4, learning_curve=curve(0.4, 0.6, 0.8, 0.85)),
        make_record(2, 0.9, 4.0, 40, epochs=4, learning_curve=curve(0.5, 0.7, 0.9, 0.88)),
        make_record(3, None, 2.0, 20, state=State.STOPPED, epochs=2, learning_curve=curve(0.2, 0.3), reason="too low"),
        make_record(4, None, 2.0, 20, state=State.DUPLICATE, epochs=0, seconds=0.5, reason="the same as trial 1"),
    ]


@pytest.fixture
def make_finals():
    """Runs of some records on ten test pictures, of which each record gets its own number right."""

    def make(records, right, n_classes=3):
        labels = np.arange(30) % n_classes
        runs = []
        for record, n_right in zip(records, right, strict=True):
            guesses = np.where(np.arange(30) < n_right, labels, (labels + 1) % n_classes)
            shares = np.full((30, n_classes), 0.1 / (n_classes - 1))
            shares[np.arange(30), guesses] = 0.9
            linear = (record.candidate.unfreeze_depth, record.candidate.head_width) == (0, 0)
            label = "baseline" if linear else str(record.number)
            for seed in (0, 1):
                runs.append(
                    FinalRun("id", label, seed, record.candidate, 3, 150, [], score(shares, labels),
                             made.final_costs() if seed == 0 else None, 2**20, {"train": 2.0}, 100.0, {})
                )  # fmt: skip
        found = {run.label: next(r.val_accuracy for r in records if r.candidate == run.candidate) for run in runs}
        answers = {
            (run.label, run.seed): np.arange(30) < n_right
            for run, n_right in zip(runs, np.repeat(right, 2), strict=True)
        }
        return summarise(runs, found, answers), runs, Predictions(shares, labels)

    return make


@pytest.fixture
def evaluated(make_material, curved, make_finals):
    """The curved study with its baseline, recommended and most accurate trial evaluated."""

    def make(names=("a", "b", "c")):
        finals, _, predictions = make_finals(curved[:3], (20, 26, 27), len(names))
        file = ModelFile(tuple(names), (8, 8, 1), predictions=predictions)
        return make_material(curved, finals=finals, model_files={model.label: file for model in finals})

    return make


@pytest.fixture
def write_final(make_finals):
    """Leaves files as `hpo.evaluate` does."""

    def write(folder, records, right, names=("a", "b", "c"), study_id="id"):
        _, runs, predictions = make_finals(records, right, len(names))
        for run in runs:
            place = folder / "final" / run.label / f"seed-{run.seed}"
            place.mkdir(parents=True)
            changed = dataclasses.replace(run, study_id=study_id)
            (place / "result.json").write_text(changed.to_json())
            np.savez_compressed(place / "predictions.npz", **predictions.__dict__)
            with zipfile.ZipFile(place / "model.keras", "w") as archive:
                archive.writestr("class_names.json", json.dumps(list(names)))
                layers = [{"config": {"batch_shape": [None, 8, 8, 1]}}]
                archive.writestr("config.json", json.dumps({"config": {"layers": layers}}))
        return runs

    return write


@pytest.fixture
def visit(browser, tmp_path):  # noqa: F811
    """Opens a report at a width; returns the tab, errors and requests other than for the page itself."""

    def go(report, width=1280):
        path = tmp_path / "index.html"
        path.write_text(render(report), encoding="utf-8")
        tab = browser.new_page(viewport={"width": width, "height": 900})
        wrong, requests = [], []
        tab.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        tab.on("pageerror", lambda error: wrong.append(str(error)))
        tab.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
        tab.on("request", lambda r: requests.append(r.url) if not r.url.startswith(("data:", "blob:")) else None)
        tab.goto(path.as_uri())
        tab.wait_for_selector("body[data-drawn]", timeout=30_000)
        return tab, wrong, [url for url in requests if url != path.as_uri()]

    return go
