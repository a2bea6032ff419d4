"""What the Pareto plots of a study show: computed once, drawn by `page` for a browser and by `paper` for a report."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from studies.objectives import FLOPS, LATENCY, OBJECTIVES, VAL_ACCURACY, Objective
from studies.pareto import front
from studies.records import CompleteTrial, State, TrialRecord, complete
from studies.tables.trials import accuracy, describe, measured_in

LOG_FROM = 8.0  # an axis whose largest value exceeds its smallest this many times is logarithmic

INTERVAL = "95 % interval"  # of accuracies, in legends


class Point(NamedTuple):
    """A trial in a plot."""

    number: int
    name: str  # in a sentence: the number, and of which study where there are several
    values: Mapping[str, float]  # of each objective by its name, in the unit of its axis
    latency_low: float  # ms, see `studies.outcomes.Latency.low`
    latency_high: float  # ms
    accuracy_low: float  # the interval of the accuracy; itself where that is unknown
    accuracy_high: float
    text: str  # every parameter, lines separated by <br>

    @property
    def accuracy(self) -> float:
        """Validation accuracy."""
        return self.at(VAL_ACCURACY)

    def at(self, objective: Objective) -> float:
        """Its value of an objective, in the unit of the axis."""
        return self.values[objective.name]


class Band(NamedTuple):
    """Between which steps the front may lie, for all that validation pictures can tell; empty where that is unknown."""

    at: tuple[float, ...]  # where each step begins, and last the end of the axis
    low: tuple[float, ...]
    high: tuple[float, ...]


class ParetoData(NamedTuple):
    """Two axes and three groups of points; each point is in exactly one group."""

    title: str
    subtitle: str
    x: Objective
    log_x: bool
    x_range: tuple[float, float]  # holds every point; a bar that goes on beyond it is cut there
    y_range: tuple[float, float]  # of the first view; poor trials far below the front would flatten it
    front: tuple[Point, ...]  # on the front of the two objectives shown, by rising x
    beyond: tuple[Point, ...]  # on the front of all three objectives only
    dominated: tuple[Point, ...]

    @property
    def everything(self) -> tuple[Point, ...]:
        """All points."""
        return (*self.front, *self.beyond, *self.dominated)

    @property
    def band(self) -> Band:
        """Of the front."""
        if all(point.accuracy_low == point.accuracy_high for point in self.front):
            return Band((), (), ())
        steps = (*self.front, self.front[-1])
        at = (*(point.at(self.x) for point in self.front), self.x_range[1])
        return Band(at, tuple(step.accuracy_low for step in steps), tuple(step.accuracy_high for step in steps))


class ThreeData(NamedTuple):
    """All three objectives and two groups of points."""

    title: str
    subtitle: str
    y_range: tuple[float, float]  # of the first view, as in `ParetoData`
    front: tuple[Point, ...]  # on the front of all three, by rising latency
    dominated: tuple[Point, ...]


def pareto_data(name: str, records: Sequence[TrialRecord], x: Objective) -> ParetoData:
    """What to draw of a study for accuracy against the cost `x`.

    Only completed trials are drawn; the subtitle says how many others there are and why.
    """
    two = front(records, among=(VAL_ACCURACY, x))
    on_two = {record.number for record in two}
    on_three = {record.number for record in front(records)}
    points = {record.number: to_point(record) for record in complete(records)}
    members = sorted((points[n] for n in on_two), key=lambda point: (point.at(x), point.number))
    x_range = cost_range([point.at(x) for point in points.values()])
    y_range = _accuracies(points.values(), members)
    of_latency = cut_bars(members, x_range) + _measured_in(records) if x is LATENCY else ""
    return ParetoData(
        title=f"{name}: accuracy against {x.noun}",
        subtitle=tally(records) + below_axis(points.values(), y_range) + of_latency,
        x=x,
        log_x=is_wide([point.at(x) for point in points.values()]),
        x_range=x_range,
        y_range=y_range,
        front=tuple(members),
        beyond=tuple(points[n] for n in sorted(on_three - on_two)),
        dominated=tuple(points[n] for n in sorted(set(points) - on_two - on_three)),
    )


def three_data(name: str, records: Sequence[TrialRecord]) -> ThreeData:
    """What to draw of a study for accuracy, latency and FLOPs at once; completed trials only."""
    members = {record.number for record in front(records)}
    points = [to_point(record) for record in complete(records)]
    on_front = sorted((point for point in points if point.number in members), key=lambda point: point.at(LATENCY))
    y_range = _accuracies(points, on_front)
    return ThreeData(
        title=f"{name}: accuracy, latency and FLOPs",
        subtitle=tally(records) + below_axis(points, y_range) + _measured_in(records),
        y_range=y_range,
        front=tuple(on_front),
        dominated=tuple(point for point in points if point.number not in members),
    )


def to_point(record: CompleteTrial) -> Point:
    """A trial with the text that is shown when the mouse is over it."""
    cost = record.measurement
    low, high = cost.latency.low, cost.latency.high
    least, most = record.interval or (record.val_accuracy, record.val_accuracy)
    text = "<br>".join(
        [
            f"<b>trial {record.number}</b>",
            *describe(record.candidate).split(", "),
            f"val_accuracy {accuracy(record)} after epoch {record.best_epoch} of {record.epochs}",
            f"latency {LATENCY.say(cost.latency_ms)} ({low:.3g} to {high:.3g}; {cost.latency.measured_in})",
            f"{FLOPS.say(cost.flops)}, {cost.parameters:,} weights",
            f"{record.seconds:.1f} s",
        ]
    )
    values = {objective.name: objective.shown(getattr(record, objective.name)) for objective in OBJECTIVES}
    return Point(record.number, str(record.number), values, low, high, least, most, text)


def is_wide(values: Sequence[float]) -> bool:
    """Whether an axis over these values should be logarithmic."""
    return bool(values) and max(values) > LOG_FROM * min(values)


def cost_range(values: Sequence[float]) -> tuple[float, float]:
    """Lower and upper end of an axis that holds these values with a margin, logarithmic where they are wide.

    Bars have no say in it: a single one that is long would push all points together.
    """
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    if low == high:
        return 0.5 * low, 1.5 * high
    if is_wide(values):
        margin = (high / low) ** 0.08
        return low / margin, high * margin
    return max(0.0, low - 0.08 * (high - low)), high + 0.08 * (high - low)


def cut_bars(points: Sequence[Point], x_range: tuple[float, float]) -> str:
    """What the subtitle says of latencies whose bars go on beyond the axis."""
    cut = [point for point in points if point.latency_low < x_range[0] or point.latency_high > x_range[1]]
    said = [f"{point.name} ({point.latency_low:.3g} to {point.latency_high:.3g} ms)" for point in cut]
    bars = "the bar of trial" if len(cut) == 1 else "the bars of trials"
    return f"; {bars} {', '.join(said)} {'is' if len(cut) == 1 else 'are'} cut at the axis" if cut else ""


def accuracy_range(
    values: Sequence[float], on_front: Sequence[float], ends: Sequence[float] = ()
) -> tuple[float, float]:
    """Lower and upper end of the accuracy axis: down to twice the front's extent below its lowest member.

    At least 0.05 below it; no further than the worst trial; with a margin for the markers. `ends` of intervals are on
    it too.
    """
    if not on_front:
        return 0.0, 1.0
    top, bottom = max(on_front), min(on_front)
    low = min([max(min(values), bottom - max(2 * (top - bottom), 0.05)), *ends])
    margin = 0.06 * max(top - low, 0.01)
    return low - margin, max([top + 2 * margin, *(end + margin for end in ends)])


def _accuracies(points: Iterable[Point], members: Sequence[Point]) -> tuple[float, float]:
    """The accuracy axis of a study."""
    ends = [end for point in members for end in (point.accuracy_low, point.accuracy_high)]
    return accuracy_range([point.accuracy for point in points], [point.accuracy for point in members], ends)


def _measured_in(records: Sequence[TrialRecord]) -> str:
    """What latencies were measured in, for the end of a subtitle."""
    members = front(records)
    return f"; latency: {measured_in(members)}" if members else ""


def below_axis(points: Iterable[Point], y_range: tuple[float, float]) -> str:
    """What the subtitle says of trials that the first view does not reach."""
    count = sum(point.accuracy < y_range[0] for point in points)
    return f"; {count} with lower accuracy lie below the axis" if count else ""


def label_groups(
    points: Sequence[tuple[float, float, int]], x_reach: float, y_reach: float
) -> list[tuple[float, float, str]]:
    """One label where several points are too close for one each: (x, y, "3, 7"), x and y of the group's last point.

    `points` are (x, y, number) in rising x; `x_reach` and `y_reach` are how close is too close, in their units.
    """
    groups: list[list[tuple[float, float, int]]] = []
    for point in points:
        near = groups and abs(point[0] - groups[-1][0][0]) < x_reach and abs(point[1] - groups[-1][0][1]) < y_reach
        if near:
            groups[-1].append(point)
        else:
            groups.append([point])
    return [(group[-1][0], group[-1][1], ", ".join(str(number) for *_, number in group)) for group in groups]


# Those that ended and have no place in a plot.
LEFT_OUT = (State.STOPPED, State.DUPLICATE, State.INFEASIBLE, State.FAILED, State.INTERRUPTED, State.UNREADABLE)


def tally(records: Sequence[TrialRecord]) -> str:
    """`20 trials, 5 on the front of all three objectives; not drawn: 2 over budget, 1 failed`."""
    states = Counter(record.state for record in records)
    left_out = [f"{states[state]} {state.words}" for state in LEFT_OUT if states[state]]
    n_drawn = states[State.COMPLETE]
    text = f"{n_drawn} trial{'s' * (n_drawn != 1)}, {len(front(records))} on the front of all three objectives"
    return text + (f"; not drawn: {', '.join(left_out)}" if left_out else "")
