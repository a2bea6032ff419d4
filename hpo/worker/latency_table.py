"""Latencies of every side and head width of a study from those of a few measured parts. Pure functions.

An architecture is a trunk, the network with a last layer only, and a head that stands in place of that layer. Its
latency is the trunk's plus what the head adds, so S sides and H widths take S + H measurements and not S x H; between
two measured widths the latency of a head is interpolated.

What contains another network is not faster: along sides and along widths latencies are made monotone by isotonic
regression (Barlow et al. 1972, "Statistical inference under order restrictions"), as far as that stays within the
uncertainty of each.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from scipy.optimize import isotonic_regression

from models.latency.deployed import LEAST_UNCERTAINTY
from studies.outcomes import DeployedLatency

WIDTHS = (0, 128, 256, 512, 1024)  # of heads that are measured: what a weight costs changes where they leave a cache
QUANTILES = ("median_ms", "p10_ms", "p90_ms", "p99_ms")
TIMES = ("ms", *QUANTILES)


@dataclass(frozen=True)
class LatencyTable:
    """The parts of all architectures that differ in side and head width only.

    Attributes:
        trunks: by side in pixels.
        heads: by width, of `WIDTHS`.
        last: of the last layer that a trunk has; the head of width 0 unless there is batch normalisation.
    """

    trunks: Mapping[int, DeployedLatency]
    heads: Mapping[int, DeployedLatency]
    last: DeployedLatency | None

    def latency(self, side: int, width: int) -> DeployedLatency:
        """Of one architecture.

        Raises:
            KeyError: one of its parts is not there.
        """
        trunk = monotone(self.trunks)[side]
        if width == 0 and self.heads.get(0) == self.last:  # the trunk has that head
            return trunk
        heads = monotone(self.heads)
        last = heads[0] if self.heads[0] == self.last else self.last
        assert last is not None
        return add_head(trunk, _between(heads, width), last)


def add_head(trunk: DeployedLatency, head: DeployedLatency, last: DeployedLatency) -> DeployedLatency:
    """The latency of a network from that of its trunk, of its head, and of the last layer that the trunk has.

    A head takes nothing away. Uncertainties add up as those of independent measurements (JCGM 100:2008, 5.1.2).
    """
    added = {name: getattr(trunk, name) + max(0.0, getattr(head, name) - getattr(last, name)) for name in TIMES}
    unsure = math.hypot(trunk.uncertainty_ms, head.uncertainty_ms, last.uncertainty_ms)
    return replace(trunk, **added, high_ms=added["ms"] + unsure)


def monotone(measured: Mapping[int, DeployedLatency]) -> dict[int, DeployedLatency]:
    """Latencies by size, each at least that of the smaller ones, where that changes none by more than its uncertainty.

    What contradicts by more stays as it was measured, see `contradictions`.
    """
    fitted = _isotonic(measured)
    against = contradictions(measured)
    return {size: _moved(measured[size], fitted[size]) for size in fitted if size not in against} | {
        size: measured[size] for size in against
    }


def contradictions(measured: Mapping[int, DeployedLatency]) -> list[int]:
    """Sizes whose latencies are in the wrong order by more than their uncertainty, ascending: to be measured again."""
    fitted = _isotonic(measured)
    sizes = sorted(measured)
    beyond = [size for size in sizes if abs(fitted[size] - measured[size].ms) > measured[size].uncertainty_ms]
    together = {fitted[size] for size in beyond}  # all that were pooled into one value
    return [size for size in sizes if fitted[size] in together]


def combine(first: DeployedLatency, second: DeployedLatency) -> DeployedLatency:
    """One latency from two measurements of one network, each weighted by its runs.

    Half of their difference is part of the uncertainty.
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


def _isotonic(measured: Mapping[int, DeployedLatency]) -> dict[int, float]:
    sizes = sorted(measured)
    if not sizes:
        return {}
    weights = [measured[size].uncertainty_ms ** -2 for size in sizes]
    fit = isotonic_regression([measured[size].ms for size in sizes], weights=weights).x
    return dict(zip(sizes, map(float, fit), strict=True))


def _moved(latency: DeployedLatency, ms: float) -> DeployedLatency:
    return latency if ms == latency.ms else replace(latency, ms=ms, high_ms=ms + latency.uncertainty_ms)


def _between(heads: Mapping[int, DeployedLatency], width: int) -> DeployedLatency:
    """The head of a width by linear interpolation between its measured neighbours."""
    if width in heads:
        return heads[width]
    below, above = max(size for size in heads if size < width), min(size for size in heads if size > width)
    share = (width - below) / (above - below)
    names = (*TIMES, "high_ms")
    values = {name: (1 - share) * getattr(heads[below], name) + share * getattr(heads[above], name) for name in names}
    return replace(heads[below], **values)
