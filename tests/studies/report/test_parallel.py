"""Where a trial's line crosses each row."""

import dataclasses
import math

import pytest

from studies.report.parallel import axes, draw, round_values


def test_only_what_differs_and_the_objectives(records):
    rows = {row.name: row for row in axes(records[:4])}
    assert list(rows) == ["unfreeze_depth", "latency_ms", "flops", "val_accuracy"]
    assert rows["unfreeze_depth"].places == (0.0, 0.5, 1.0, 0.0)
    assert rows["unfreeze_depth"].ticks == ((0.0, "0"), (0.5, "1"), (1.0, "2"))
    assert rows["val_accuracy"].places == pytest.approx((0.5, 1.0, 0.4, 0.0))
    assert rows["flops"].title == "FLOPs, log"
    assert [text for _, text in rows["flops"].ticks] == ["5 M", "10 M", "20 M", "30 M"]
    assert rows["flops"].ticks[1][0] == pytest.approx(math.log(10 / 5) / math.log(30 / 5))


def test_settings_stand_at_their_true_places(make_record):
    """Three learning rates and three widths: neither is spread evenly."""
    settings = [(1e-5, 0), (1e-4, 128), (1e-2, 1024)]
    records = [
        make_record(n, 0.7 + n / 10, 1.0, 10, candidate=dataclasses.replace(make_record(0, 0.7, 1.0, 10).candidate,
                    learning_rate=rate, head_width=width))
        for n, (rate, width) in enumerate(settings)
    ]  # fmt: skip
    rows = {row.name: row for row in axes(records)}
    assert rows["learning_rate"].places == pytest.approx((0, 1 / 3, 1))
    assert rows["learning_rate"].title == "learning_rate, log"
    assert rows["head_width"].places == (0, 0.125, 1)
    assert rows["head_width"].ticks == ((0.0, "0"), (1.0, "1,024"))  # no room for 128 beside the end


@pytest.mark.parametrize(
    ("low", "high", "log", "values"),
    [
        (0.384, 0.741, False, [0.4, 0.5, 0.6, 0.7]),
        (0.0, 1.0, False, [0.2, 0.4, 0.6, 0.8]),
        (3.0, 57.0, False, [20.0, 40.0]),
        (0.05, 0.6, True, [0.1, 0.2, 0.5]),
    ],
)
def test_round_values_between_the_ends(low, high, log, values):
    assert round_values(low, high, log) == pytest.approx(values)


def test_ties_lie_in_the_middle(make_record):
    rows = axes([make_record(number, 0.7, 1.0, 10) for number in (0, 3)])
    assert [row.name for row in rows] == ["latency_ms", "flops", "val_accuracy"]
    assert {place for row in rows for place in row.places} == {0.5}


def test_each_trial_is_drawn_once(records):
    figure, height = draw(records, 1)
    assert [trace.name for trace in figure.data] == ["dominated", "front", "recommended: trial 1"]
    assert [sum(x is None for x in trace.x) for trace in figure.data] == [1, 2, 1]
    assert set(figure.data[2].text) == {"trial 1: 0.9000, 2 ms, 20 MFLOPs"}
    assert height > 200
