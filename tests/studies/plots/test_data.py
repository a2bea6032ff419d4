"""What the Pareto plots of a study show."""

import pytest

from studies.objectives import FLOPS, LATENCY
from studies.plots.data import accuracy_range, cost_range, label_groups, pareto_data, tally, three_data, to_point
from studies.scores import wilson_interval


def numbers(points):
    return [point.number for point in points]


def test_groups_of_accuracy_against_latency(records):
    data = pareto_data("s", records, LATENCY)
    assert (numbers(data.front), numbers(data.beyond), numbers(data.dominated)) == ([0, 1], [2], [3])
    assert data.x.label == "latency (ms per picture, batch 1)"
    assert "not drawn: 1 over budget, 1 failed" in data.subtitle
    assert data.subtitle.startswith("4 trials, 3 on the front of all three objectives")
    assert data.subtitle.endswith("; latency: Keras on none")


def test_groups_of_accuracy_against_flops(records):
    data = pareto_data("s", records, FLOPS)
    assert (numbers(data.front), numbers(data.beyond), numbers(data.dominated)) == ([2, 0, 1], [], [3])
    assert data.x.label == "MFLOPs per picture"


def test_hover_names_every_parameter_and_number(records):
    text = to_point(records[1]).text
    for part in (
        "trial 1",
        "32 px",
        "top 1 stage free",
        "head 128",
        "dropout 0.25",
        "1.0e-03 cosine",
        "val_accuracy 0.9000 after epoch 2 of 3",
        "latency 2 ms (1.7 to 2.3; Keras on none)",
        "20 MFLOPs",
        "318,000 weights",
        "4.5 s",
    ):
        assert part in text


def test_wide_axes_are_logarithmic(make_record):
    narrow = [make_record(0, 0.5, 1.0, 1), make_record(1, 0.6, 7.0, 2)]
    assert not pareto_data("s", narrow, LATENCY).log_x
    assert pareto_data("s", [*narrow, make_record(2, 0.7, 9.0, 3)], LATENCY).log_x


@pytest.mark.parametrize(
    ("values", "on_front", "low", "high"),
    [
        ([], [], 0.0, 1.0),
        ([0.1, 0.8, 0.9], [0.8, 0.9], 0.6 - 0.018, 0.9 + 0.036),  # twice the front's extent below it
        ([0.75, 0.8, 0.9], [0.8, 0.9], 0.75 - 0.009, 0.9 + 0.018),  # but not below the worst trial
        ([0.1, 0.9], [0.9], 0.85 - 0.003, 0.9 + 0.006),
    ],
)  # one member: 0.05
def test_accuracy_axis_shows_the_front(values, on_front, low, high):
    assert accuracy_range(values, on_front) == pytest.approx((low, high))


def test_points_too_close_share_a_label():
    points = [(0.10, 0.5, 3), (0.11, 0.5, 7), (0.11, 0.9, 8), (0.5, 0.9, 9)]
    assert label_groups(points, 0.05, 0.05) == [(0.11, 0.5, "3, 7"), (0.11, 0.9, "8"), (0.5, 0.9, "9")]


def test_every_trial_that_ended_is_drawn_or_counted(make_record):
    drawn = [make_record(0, 0.8, 1.0, 10), make_record(1, 0.7, 2.0, 20)]
    states = ("stopped", "stopped", "duplicate", "infeasible", "failed", "interrupted", "running", "waiting")
    left = [make_record(2 + n, None, 3.0, 30, state=state) for n, state in enumerate(states)]
    assert tally(drawn + left) == (
        "2 trials, 1 on the front of all three objectives; not drawn: 2 stopped early, 1 the same as another, "
        "1 over budget, 1 failed, 1 interrupted"
    )


def test_all_three_objectives_at_once(records):
    data = three_data("s", records)
    assert (numbers(data.front), numbers(data.dominated)) == ([0, 2, 1], [3])  # by rising latency
    assert data.title == "s: accuracy, latency and FLOPs"
    assert data.subtitle == pareto_data("s", records, LATENCY).subtitle


@pytest.fixture
def judged(make_record):
    """Two members of the front, of 100 validation pictures."""
    return [make_record(0, 0.8, 1.0, 10, val_size=100), make_record(1, 0.9, 2.0, 20, val_size=100)]


def test_the_band_goes_with_the_steps_to_the_end_of_the_axis(judged):
    data = pareto_data("s", judged, LATENCY)
    first, second = wilson_interval(0.8, 100), wilson_interval(0.9, 100)
    assert data.band == (
        (1.0, 2.0, data.x_range[1]),
        (first[0], second[0], second[0]),
        (first[1], second[1], second[1]),
    )
    assert data.y_range[0] < first[0] and second[1] < data.y_range[1]
    assert "val_accuracy 0.9000 (0.826-0.945) after epoch 2 of 3" in data.front[1].text


def test_without_a_number_of_pictures_there_is_no_band(records):
    assert pareto_data("s", records, LATENCY).band == ((), (), ())
    assert pareto_data("s", [], LATENCY).band == ((), (), ())


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [
        ([], 0, 1),
        ([2.0], 1.0, 3.0),
        ([1.0, 3.5], 0.8, 3.7),
        ([0.1, 0.7], 0.052, 0.748),
        ([1.0, 100.0], 0.6918, 144.544),
    ],
)
def test_an_axis_of_costs_has_a_margin(values, low, high):
    assert cost_range(values) == pytest.approx((low, high), rel=1e-4)


def test_one_long_bar_is_cut_and_the_subtitle_says_so(make_record):
    even = [make_record(0, 0.8, 1.0, 10, unsure=0.01), make_record(1, 0.9, 2.0, 20, unsure=0.01)]
    long = make_record(2, 0.95, 2.5, 30, unsure=24.3)
    (data, wide) = (pareto_data("s", some, LATENCY) for some in (even, [*even[:1], long]))
    assert "cut" not in data.subtitle
    assert wide.x_range == pytest.approx((0.88, 2.62))
    assert "; the bar of trial 2 (0 to 26.8 ms) is cut at the axis" in wide.subtitle
    assert "cut" not in pareto_data("s", [*even, long], FLOPS).subtitle
