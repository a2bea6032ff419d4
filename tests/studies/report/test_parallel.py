"""Where a trial's line crosses each row."""

import pytest

from studies.report.parallel import axes, draw


def test_only_what_differs_and_the_objectives(records):
    rows = {row.name: row for row in axes(records[:4])}
    assert list(rows) == ["unfreeze_depth", "latency_ms", "flops", "val_accuracy"]
    assert rows["unfreeze_depth"].places == (0.0, 0.5, 1.0, 0.0)
    assert rows["unfreeze_depth"].ticks == ((0.0, "0"), (0.5, "1"), (1.0, "2"))
    assert rows["val_accuracy"].places == pytest.approx((0.5, 1.0, 0.4, 0.0))
    assert rows["flops"].ticks == ((0.0, "5 M"), (0.5, "12.25 M"), (1.0, "30 M"))


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
