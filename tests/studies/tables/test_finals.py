"""Tables and cards of a final evaluation, against numbers by hand."""

import csv
import io
import re

import pytest

from studies.finals import summarise
from studies.forms import rank
from studies.overlap import Overlap
from studies.paths import BASELINE
from studies.tables.finals import (
    METHOD,
    TERMINAL,
    card,
    cells,
    confusion_csv,
    per_class,
    per_class_csv,
    to_best,
    to_csv,
    to_latex,
    to_markdown,
    values,
    verdicts,
)
from studies.tables.forms import for_card
from tests import made
from tests.studies.test_finals import answers_of, make_run  # noqa: F401  (fixture)

COSTS = made.final_costs(
    macs=7_848_000,
    flops=15_696_000,
    latency=made.latency(1.083, p90_ms=2.276, p99_ms=7.6),
    throughput={"32": 6040.4, "256": None},
)
ABOUT = {
    "study": "s",
    "dataset": "my|data",
    "digest": "d" * 64,
    "test_split": "the test part of my.npz",
    "overlap": "",
    "device": "a CPU",
}


@pytest.fixture
def models(make_run):  # noqa: F811
    runs = [make_run("3", seed, right, costs=COSTS) for seed, right in ((0, 90), (1, 92))]
    runs.append(make_run(BASELINE, 0, 50, costs=COSTS))
    return summarise(runs, {"3": 0.95}, answers_of(runs))


def test_terminal_row(models):
    low, high = models[0].interval
    assert cells(models[0], TERMINAL) == (
        "trial 3",
        f"0.9100 ({low:.4f}-{high:.4f})",
        "best",
        "0.9500",
        "+0.0400",
        "0.9100",
        "1.08 (2.28)",
        "15.7",
    )
    one = models[1].to_best
    assert to_best(models[1]) == f"-41.0 ({100 * one.low:.1f} to {100 * one.high:.1f}) *"
    assert cells(models[1], ("model", "in the search", "gap", "top 5")) == ("baseline", "-", "-", "-")
    assert cells(models[0], ("pictures/s, batch 32", "pictures/s, batch 256", "weights", "MiB", "training s")) == (
        "6,040",
        "-",
        "318 k",
        "1.00",
        "2.0",
    )


def test_numbers(models):
    found = values(models[0])
    assert {name: found[name] for name in ("model", "seeds", "macs", "flops", "model_bytes", "epochs")} == {
        "model": "trial 3",
        "seeds": 2,
        "macs": 7_848_000,
        "flops": 15_696_000,
        "model_bytes": 2**20,
        "epochs": 4,
    }
    assert (found["latency_p50_ms"], found["latency_p90_ms"], found["latency_p99_ms"]) == (1.083, 2.276, 7.6)
    assert (found["pictures_per_second_32"], found["pictures_per_second_256"]) == (6040.4, None)
    assert (found["train_seconds"], found["peak_memory_mib"]) == (2.0, 101.0)


def test_csv_and_markdown_hold_all_models(models):
    rows = list(csv.DictReader(io.StringIO(to_csv(models))))
    assert [row["model"] for row in rows] == ["trial 3", "baseline"]
    assert (rows[0]["test_accuracy"], rows[0]["verdict"], rows[1]["search_accuracy"]) == (
        "0.91",
        "the most accurate",
        "",
    )
    assert (rows[0]["to_best"], rows[1]["verdict"], rows[1]["to_baseline_p"]) == ("", "worse", "")
    assert float(rows[0]["to_baseline"]) == pytest.approx(0.41) == -float(rows[1]["to_best"])
    assert float(rows[1]["to_best_low"]) == models[1].to_best.low
    assert float(rows[0]["to_baseline_p"]) == float(rows[0]["to_baseline_p_adjusted"]) == models[0].to_baseline.p
    lines = to_markdown(models).splitlines()
    assert len({line.count("|") for line in lines[:4]}) == 1
    assert lines[0].startswith("| model | test accuracy (95 %) | to the best, points (95 %) |")
    assert lines[2].startswith("| trial 3 | 0.9100 (")
    assert lines[4:] == ["", METHOD.replace("*", r"\*"), "", f"- {verdicts(models)[0]}"]


def test_words_follow_the_difference(models, make_run):  # noqa: F811
    one = models[1].to_best
    (words,) = verdicts(models)
    assert (
        words == f"The baseline is worse than trial 3 by 41.0 points ({-100 * one.high:.1f} to {-100 * one.low:.1f})."
    )
    runs = [make_run(label, seed, right) for label, right in (("1", 90), ("2", 88)) for seed in (0, 1)]
    near = summarise(runs, {}, answers_of(runs))
    assert verdicts(near)[0].startswith("Trial 2 is not distinguishable from trial 1: -2.0 points (-")
    assert not to_best(near[1]).endswith("*")
    single = summarise(runs[::2], {}, answers_of(runs))
    assert verdicts(single)[0].startswith("Trial 2 is at -2.0 points (-")
    assert verdicts(single)[0].endswith("only the pictures vary: too few seeds to say which is better).")
    unknown = summarise(runs, {})
    assert verdicts(unknown) == ["Trial 2 beside trial 1: cannot be said: predictions are missing."]
    assert [to_best(model) for model in unknown] == ["best", "?"]


def test_latex_table(models):
    text = to_latex(models, "cats_vs_dogs")
    assert r"\caption{Test accuracy on cats\_vs\_dogs: mean over 2 seeds with 95 \% interval" in text
    body = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert [line.count(" & ") for line in body] == [8, 8, 8]
    assert body[1].startswith("trial 3 & 0.9100 (0.")
    assert re.search(r"\(\d\.\d{4}--\d\.\d{4}\) & best & ", body[1])


def test_classes(models):
    first, second = per_class(models[0], ["a", "b"])
    assert first == {
        "class": "a",
        "precision": pytest.approx(0.91),
        "recall": pytest.approx(0.91),
        "f1": pytest.approx(0.91),
        "pictures": 50,
    }
    assert second["class"] == "b"
    rows = list(csv.reader(io.StringIO(per_class_csv(models[0], ["a,c", "b"]))))
    assert (rows[0], rows[1][0]) == (["class", "precision", "recall", "f1", "pictures"], "a,c")
    assert confusion_csv(models[0], ["a", "b"]) == "true \\ predicted,a,b\na,91,9\nb,9,91\n"


def test_a_card_has_a_row_for_each_form(models):
    forms = rank([made.form("litert"), made.form("onnx", 2.0)])
    text = card(models[0], ["a", "b"], ABOUT, forms)
    assert text == card(models[0], ["a", "b"], ABOUT) + for_card(forms)


def test_a_card_says_what_of_the_test_is_trained_on(models):
    said = "the test part of my.npz.\n  **3 of the 100 test pictures (3.0%) are also among those to train on.**\n"
    assert said in card(models[0], ["a", "b"], ABOUT | {"overlap": Overlap(3, 100).words})
    assert Overlap(1, 40).words == "1 of the 40 test pictures (2.5%) is also among those to train on"
    assert Overlap(0, 40).words == ""


def test_no_name_breaks_a_card(models):
    about = ABOUT | {"dataset": "a\n# b", "test_split": "x\x1b[31m\ny"}
    plain, broken = (card(models[0], names, ABOUT) for names in (["a", "b"], ["a\n| x |", "\x1b[2Jb"]))
    assert len(broken.splitlines()) == len(plain.splitlines()) == len(card(models[0], ["a", "b"], about).splitlines())
    for text in (broken, card(models[0], ["a", "b"], about)):
        assert text.replace("\n", "").isprintable()


def test_card(models):
    text = card(models[0], ["a", "b<c>"], ABOUT)
    low, high = models[0].interval
    for part in (
        "# s, trial 3\n",
        "one of 2 classes. Input: uint8 pictures of\n  8x8x1 (height",
        "output: a probability for\n  each class, in the order below.",
        'keras.saving.load_model("seed-0/model.keras")',
        "on 300 pictures of my\\|data",
        "once on 100 pictures that nothing else read:\n  the test part of my.npz.",
        f"**Accuracy** 0.9100, 95 % interval {low:.4f} to {high:.4f}",
        "318,000 weights, 15.7 MFLOPs, 1.08 ms a picture",
        "| a | 0.910 | 0.910 | 0.910 | 50 |\n| b\\<c\\> | 0.910 | 0.910 | 0.910 | 50 |\n",
    ):
        assert part in text
