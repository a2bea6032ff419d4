"""The objectives: what databases and figures have always called them, and how values are shown."""

import dataclasses

import pytest

from studies.objectives import COSTS, DIRECTIONS, FLOPS, LATENCY, MAXIMISE, METRIC_NAMES, OBJECTIVES, VAL_ACCURACY
from studies.records import TrialRecord
from studies.report import parallel


def test_names_and_directions_are_those_of_the_databases():
    assert METRIC_NAMES == ("val_accuracy (share right)", "latency (ms)", "FLOPs")
    assert DIRECTIONS == ("maximize", "minimize", "minimize")
    assert MAXIMISE == (True, False, False)
    assert [one.name for one in OBJECTIVES] == ["val_accuracy", "latency_ms", "flops"]
    assert [one.known_before_training for one in OBJECTIVES] == [False, True, True]
    assert COSTS == (LATENCY, FLOPS)
    assert [one.stem for one in OBJECTIVES] == ["accuracy", "latency", "flops"]


@pytest.mark.parametrize(
    ("objective", "value", "text"),
    [(VAL_ACCURACY, 0.91238, "0.9124"), (LATENCY, 1.2345, "1.23 ms"), (FLOPS, 20_024_384, "20.02 MFLOPs")],
)
def test_values_with_their_units(objective, value, text):
    assert objective.say(value) == text


def test_labels_of_figures():
    assert [one.label for one in OBJECTIVES] == [
        "validation accuracy (share correct)",
        "latency (ms per picture, batch 1)",
        "MFLOPs per picture",
    ]
    assert [one.brief for one in COSTS] == ["latency (ms per picture)", "MFLOPs per picture"]
    assert [parallel.TITLES[one.name] for one in OBJECTIVES] == ["val_accuracy", "latency (ms)", "FLOPs"]
    assert parallel.CAME_OUT == ("latency_ms", "flops", "val_accuracy")


def test_records_have_a_value_of_each():
    fields = {field.name for field in dataclasses.fields(TrialRecord)}
    assert all(one.name in fields or isinstance(getattr(TrialRecord, one.name), property) for one in OBJECTIVES)
