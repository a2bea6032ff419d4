"""Latencies of every side and head width of a study from those of a few measured parts. Pure functions.

An architecture is a trunk, the network with a last layer only, and a head that stands in place of that layer. Its
latency is the trunk's plus what the head adds, so S sides and H widths take S + H measurements and not S x H; between
two measured widths the latency of a head is interpolated.

What contains another network is not faster: along sides, blocks and widths latencies are made monotone by isotonic
regression (Barlow et al. 1972, "Statistical inference under order restrictions"), unless they contradict that by more
than their uncertainty.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from models.latency.deployed import LEAST_UNCERTAINTY
from studies.outcomes import DeployedLatency

WIDTHS = (0, 128, 256, 512, 1024)  # of heads that are measured: what a weight costs changes where they leave a cache
EVERY = 3  # of the places where a network may end one in so many is measured for a map
IN_BETWEEN = 0.05  # of a latency that is interpolated, its uncertainty beside that of its neighbours
QUANTILES = ("median_ms", "p10_ms", "p90_ms", "p99_ms")
TIMES = ("ms", *QUANTILES)


@dataclass(frozen=True)
class LatencyTable:
    """The parts of architectures that differ in one size of their trunk and in head width only. Made by `of`.

    Attributes:
        trunks: by that size, sides in pixels.
        heads: by width, of `WIDTHS`.
        last: of the last layer that a trunk has; None if that is the head of width 0.
    """

    trunks: Mapping[int, DeployedLatency]
    heads: Mapping[int, DeployedLatency]
    last: DeployedLatency | None = None

    @classmethod
    def of(
        cls,
        trunks: Mapping[int, DeployedLatency],
        heads: Mapping[int, DeployedLatency],
        last: DeployedLatency | None = None,
    ) -> "LatencyTable":
        """From what was measured."""
        return cls(monotone(trunks), monotone(heads), last)

    def latency(self, size: int, width: int) -> DeployedLatency:
        """Of one architecture.

        Raises:
            KeyError: one of its parts is not there.
        """
        trunk = self.trunks[size]
        if width == 0 and self.last is None:
            return trunk
        return add_head(trunk, _between(self.heads, width), self.last or self.heads[0])


def add_head(trunk: DeployedLatency, head: DeployedLatency, last: DeployedLatency) -> DeployedLatency:
    """The latency of a network from that of its trunk, of its head, and of the last layer that the trunk has.

    A head takes nothing away. Uncertainties add up as those of independent measurements (JCGM 100:2008, 5.1.2).
    """
    added = {name: getattr(trunk, name) + max(0.0, getattr(head, name) - getattr(last, name)) for name in TIMES}
    unsure = math.hypot(trunk.uncertainty_ms, head.uncertainty_ms, last.uncertainty_ms)
    return replace(trunk, **added, high_ms=added["ms"] + unsure)


def monotone(measured: Mapping[int, DeployedLatency]) -> dict[int, DeployedLatency]:
    """Latencies by size, each at least those of the smaller ones; what `contradictions` names stays as measured."""
    from scipy.optimize import isotonic_regression  # a second, which a search's first worker need not wait for

    against = contradictions(measured)
    sizes = [size for size in sorted(measured) if size not in against]
    if not sizes:
        return dict(measured)
    weights = [measured[size].uncertainty_ms ** -2 for size in sizes]
    fitted = isotonic_regression([measured[size].ms for size in sizes], weights=weights).x
    return {**measured, **{size: _moved(measured[size], float(ms)) for size, ms in zip(sizes, fitted, strict=True)}}


def contradictions(measured: Mapping[int, DeployedLatency]) -> list[int]:
    """Sizes that are slower than a larger one, or faster than a smaller one, beyond the uncertainty; ascending."""
    pairs = itertools.combinations(sorted(measured), 2)
    found: set[int] = set()
    for small, large in pairs:
        unsure = math.hypot(measured[small].uncertainty_ms, measured[large].uncertainty_ms)
        if measured[small].ms - measured[large].ms > unsure:
            found |= {small, large}
    return sorted(found)


def landmarks(n_places: int) -> tuple[int, ...]:
    """Which of so many places, in their order, are measured for a map: the first, and each third counted from the last.

    Those between are interpolated, see `between`.
    """
    return tuple(sorted({0, *range(n_places - 1, -1, -EVERY)}))


def between(measured: Mapping[int, DeployedLatency], flops: Sequence[int]) -> list[DeployedLatency]:
    """The latencies of places with so many FLOPs, from those that were measured, by their FLOPs.

    They are made monotone; one that lies between two others is interpolated linearly, with an uncertainty of at least
    `IN_BETWEEN` (`benchmarks/latency_ends.py` has the errors).
    """
    known = monotone(measured)
    within = (min(max(each, min(known)), max(known)) for each in flops)  # a last layer of fewer channels costs less
    return [known[each] if each in known else _interpolated(known, each, IN_BETWEEN) for each in within]


def combine(first: DeployedLatency, second: DeployedLatency) -> DeployedLatency:
    """One latency from two measurements of one network, each weighted by its runs.

    Its uncertainty is at least half of their difference.
    """
    runs = first.runs + second.runs
    share = first.runs / runs
    mean = {name: share * getattr(first, name) + (1 - share) * getattr(second, name) for name in TIMES}
    unsure = max(
        math.hypot(share * first.uncertainty_ms, (1 - share) * second.uncertainty_ms),
        abs(first.ms - second.ms) / 2,
        LEAST_UNCERTAINTY * mean["ms"],
    )
    return replace(first, **mean, high_ms=mean["ms"] + unsure, runs=runs)


def _moved(latency: DeployedLatency, ms: float) -> DeployedLatency:
    return latency if ms == latency.ms else replace(latency, ms=ms, high_ms=ms + latency.uncertainty_ms)


def _between(heads: Mapping[int, DeployedLatency], width: int) -> DeployedLatency:
    """The head of a width by linear interpolation between its measured neighbours."""
    return heads[width] if width in heads else _interpolated(heads, width)


def _interpolated(known: Mapping[int, DeployedLatency], size: int, unsure: float = 0.0) -> DeployedLatency:
    """Linearly between its neighbours; `unsure` is a further uncertainty as a share of the latency."""
    below, above = max(each for each in known if each < size), min(each for each in known if each > size)
    share = (size - below) / (above - below)
    names = (*TIMES, "high_ms")
    values = {name: (1 - share) * getattr(known[below], name) + share * getattr(known[above], name) for name in names}
    added = math.hypot(values["high_ms"] - values["ms"], unsure * values["ms"])
    return replace(known[below], **{**values, "high_ms": values["ms"] + added})
