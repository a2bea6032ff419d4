"""Forms of final models: read back, ranked, and put into words."""

import dataclasses
import json

import pytest

from studies import strict
from studies.finals import summarise
from studies.forms import (
    AS_TRAINED,
    Form,
    all_forms,
    as_trained,
    best_of,
    digest_of,
    points,
    rank,
    read_forms,
    verdict,
    verdicts,
    write_forms,
)
from studies.paths import StudyFiles
from tests import made
from tests.studies.test_finals import make_run  # noqa: F401  (fixture)

TRAINED = made.form(AS_TRAINED, None)


def test_written_and_read_back(make_run, tmp_path):  # noqa: F811
    run = make_run("7", 0, 90)
    forms = [made.form(name, run=digest_of(run), energy_mj=0.5) for name in ("litert", "onnx")]
    path = tmp_path / "exports.json"
    write_forms(path, forms)
    assert read_forms(path, run) == forms
    assert read_forms(path, dataclasses.replace(run, epochs=5)) == []  # trained again
    assert read_forms(path, dataclasses.replace(run, study_id="other")) == []


@pytest.mark.parametrize(
    "harm",
    [
        {"bytes": "12"},
        {"more": 1},
        {"pairs": {"both_right": 1, "lost": 0, "gained": 0}},
        {"latency": {"ms": 1.0}},
    ],
)
def test_what_is_not_ours_is_not_read(make_run, tmp_path, harm):  # noqa: F811
    run = make_run("7", 0, 90)
    path = tmp_path / "exports.json"
    values = strict.to_values(made.form(run=digest_of(run)))
    for text in (json.dumps([values | harm]), "{", "7", json.dumps([7]), json.dumps({"a": values})):
        path.write_text(text)
        assert read_forms(path, run) == []
    assert read_forms(tmp_path / "none", run) == []


def test_as_trained_it_answers_as_itself(make_run):  # noqa: F811
    form = as_trained(make_run("7", 0, 90))
    assert (form.format, form.accuracy, form.same_class, form.pairs.n) == (AS_TRAINED, 0.9, 1.0, 100)
    assert (form.latency_ms, form.runtime, form.deployed) == (1.0, "Keras on none", False)
    deployed = as_trained(make_run("7", 0, 90, costs=made.final_costs(latency=made.deployed_latency())))
    assert (deployed.latency, deployed.runtime) == (None, "Keras")  # that of the architecture in LiteRT is not its own


def test_front_over_all_forms_of_all_models():
    other = {"label": "9"}
    forms = [
        TRAINED,
        made.form("litert", 2.0),  # dominated by onnx: as accurate, slower
        made.form("onnx", 1.5),
        made.form("litert-int8", 0.5, lost=3),
        made.form("litert", 3.0, gained=10, **other),
        made.form("litert-int8", 0.5, lost=3, **other),  # equal ones both stay
        made.form("onnx", 0.6, lost=4, **other),
    ]
    found = rank(forms)
    assert [one.form for one in found] == forms
    assert [one.on_front for one in found] == [False, False, True, True, True, True, False]
    assert [one.best for one in found] == [False, False, False, True, False, True, False]
    assert rank([]) == []


def test_noise_does_not_put_the_less_accurate_one_on_the_front():
    forms = [made.form(ms=1.001), made.form(ms=1.0, lost=1, label="9"), made.form("onnx", 0.9, lost=2)]
    assert [one.on_front for one in rank(forms)] == [True, True, True]
    unsure = [made.form(form.format, form.latency_ms, form.pairs.lost, 0, 0.01, label=form.label) for form in forms]
    assert [one.on_front for one in rank(unsure)] == [True, False, True]


def test_the_best_form_is_the_fastest_that_does_not_lose():
    litert, int8, losing = made.form("litert", 2.0), made.form("litert-int8", 1.0, 5, 1), made.form("onnx", 0.5, 40, 4)
    assert not int8.pairs.loses
    assert losing.pairs.loses
    assert best_of([TRAINED, litert, int8, losing]) is int8
    assert best_of([TRAINED, litert, losing]) is litert
    assert best_of([TRAINED, losing]) is TRAINED  # without a latency, but without a loss
    timed = made.form(AS_TRAINED, latency=made.latency(0.1))
    assert best_of([timed, litert]) is timed


def test_in_words_only_what_chance_does_not_explain():
    low, high = made.form(lost=40, gained=4).pairs.difference_interval()
    assert (round(-100 * high, 1), round(-100 * low, 1)) == (1.2, 2.5)
    costs = made.form("litert-int8", lost=40, gained=4)
    assert verdict(costs) == (
        "litert-int8 costs trial 7 1.8 points (95 % interval 1.2 to 2.5, the same 2,000 pictures): more than chance "
        "explains."
    )
    gains = made.form("litert-int8", lost=4, gained=40, label="baseline")
    assert verdict(gains) == (
        "litert-int8 gains the baseline 1.8 points (95 % interval 1.2 to 2.5, the same 2,000 pictures): more than "
        "chance explains."
    )
    assert [verdict(made.form(lost=5, gained=1)), verdict(TRAINED)] == ["", ""]
    assert verdicts(rank([TRAINED, costs, made.form("onnx", lost=5)])) == [verdict(costs)]


@pytest.mark.parametrize(
    ("share", "text"), [(0.018, "1.8"), (0.0, "0.0"), (0.0005, "0.1"), (0.0004, "0.04"), (0.1, "10.0")]
)
def test_points_keep_their_first_digit(share, text):
    assert points(share) == text


def test_all_forms_are_those_of_models_that_were_deployed(make_run, tmp_path):  # noqa: F811
    files = StudyFiles(tmp_path)
    runs = [make_run("7", 0, 90), make_run("9", 0, 80), make_run("baseline", 0, 50)]
    models = summarise(runs, {})
    made_of = {"run": digest_of(runs[0])}
    kept = [made.form("litert", **made_of), made.form("savedmodel", latency=made.latency(), **made_of)]
    write_forms(files.forms("7"), [*kept, made.form("onnx", None, **made_of)])  # killed before it was measured
    write_forms(files.forms("9"), [made.form("litert", label="9")])  # of another run
    found = [one.form for one in all_forms(models, files)]
    assert found == [as_trained(runs[0]), kept[0]]
    assert all(isinstance(form, Form) for form in found)
