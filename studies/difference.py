"""Models trained with several seeds and tested on the same pictures: how accurate each is, and which of them differ.

Whether a run has a picture right depends on the picture, on the run's seed, and on both together:

    right[seed, picture] = accuracy + of the picture + of the seed + of both together

a two-way crossed layout of random effects (Searle, Casella and McCulloch 1992, Variance Components, chapter 4; that a
benchmark has to let seeds vary beside pictures: Bouthillier et al. 2021, arXiv 2103.03098). So the variance of a mean,
or of the difference of two, over k runs and n pictures has two parts that can be told apart:

- over pictures: the variance of what the runs have right on average, divided by n; for a difference, picture by
  picture. It holds 1/k of what depends on both together. A few pictures are added, so that it is 0 nowhere.
- over seeds: the variance of the runs' accuracies less what depends on both together, divided by k. Two runs say little
  of it, so it is pooled over all models, as a share of p (1 - p): a model with p = 0.99 has less room than one with
  0.6. A model whose own runs vary more than that counts with its own variance.

Few degrees of freedom are answered by Student's t with Satterthwaite's (1946, Biometrics Bulletin 2, 110-114). The
simulation in `benchmarks/model_comparison.py` shows what these intervals and tests are worth.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from scipy import special

from studies.paired import Pairs
from studies.scores import wilson_interval

LEVEL = 0.95
ADDED_TO_ACCURACY = (1.0, 1.0, 0.0, 0.0)  # Agresti and Coull 1998: two pictures right, two wrong
ADDED_TO_DIFFERENCE = (0.5**0.5, -(0.5**0.5))  # Agresti and Min 2005: half a picture in each cell of the 2 x 2 table


class Verdict(StrEnum):
    """What can be said of a model beside another one."""

    BEST = "the most accurate"
    BETTER = "better"
    WORSE = "worse"
    ALIKE = "not distinguishable"
    FEW_SEEDS = "too few seeds to say"
    UNKNOWN = "cannot be said: predictions are missing"


@dataclass(frozen=True)
class Graded:
    """What the runs of one model have right.

    Attributes:
        by_picture: (n,), share of the runs that have a picture right.
        runs: how many there are.
        spread: p (1 - p) of all answers, with the pictures added that keep it above 0.
        alone: variance of a run's accuracy that is due to its seed, as a share of `spread`; below 0 by chance.
        with_pictures: variance over the runs of a single answer, that is, of seed and picture together, likewise.
    """

    by_picture: np.ndarray
    runs: int
    spread: float
    alone: float
    with_pictures: float

    @property
    def n(self) -> int:
        """Number of pictures."""
        return len(self.by_picture)

    @property
    def accuracy(self) -> float:
        """Mean over runs and pictures, 0 to 1."""
        return float(self.by_picture.mean())


@dataclass(frozen=True)
class Seeds:
    """How far another seed changes what is right, pooled over models, in the units of `Graded`.

    Attributes:
        freedom: degrees of freedom: runs less models. 0: one run of each, which says nothing of seeds.
    """

    alone: float
    with_pictures: float
    freedom: int


@dataclass(frozen=True)
class Difference:
    """The accuracy of a model minus that of another, over the seeds of both and the pictures, shares from -1 to 1.

    Attributes:
        low, high: 95 % interval, of this difference by itself.
        p: that one at least as large is seen where both are equally accurate; two-sided.
        p_adjusted: the same after Holm's correction; `p` for a comparison that was planned alone.
        runs: of the one and the other.
        n: pictures.
        freedom: of `Seeds`; 0: only the pictures vary.
    """

    difference: float
    low: float
    high: float
    p: float
    p_adjusted: float
    runs: tuple[int, int]
    n: int
    freedom: int

    @property
    def verdict(self) -> Verdict:
        """Better or worse where the corrected p is at most 0.05 and there is more than one seed."""
        if self.freedom == 0:
            return Verdict.FEW_SEEDS
        if self.p_adjusted > 1 - LEVEL:
            return Verdict.ALIKE
        return Verdict.BETTER if self.difference > 0 else Verdict.WORSE

    @property
    def differs(self) -> bool:
        """Whether chance is ruled out."""
        return self.verdict in (Verdict.BETTER, Verdict.WORSE)

    def turned(self) -> "Difference":
        """That of the other to the one."""
        runs = (self.runs[1], self.runs[0])
        return replace(self, difference=-self.difference, low=-self.high, high=-self.low, runs=runs)

    def planned(self) -> "Difference":
        """As the only comparison, chosen before anything was seen: nothing to correct for."""
        return replace(self, p_adjusted=self.p)


def graded(right: np.ndarray) -> Graded:
    """From whether each run has each picture right, (runs, n) bool, or from a share of it, see `studies.macro`."""
    runs, n = right.shape
    times, squares = right.sum(0), (right * right).sum(0)  # (n,): of the runs, how many have a picture right
    share = (float(times.sum()) / runs + 2) / (n + 4)
    spread = share * (1 - share)
    if runs == 1:
        return Graded(times / runs, runs, spread, 0.0, 0.0)
    of_runs = float(right.mean(1).var(ddof=1))
    of_answers = float((runs * squares - times**2).sum()) / (runs * (runs - 1))  # variances, added up over pictures
    together = max(0.0, (of_answers - n * of_runs) / max(n - 1, 1))  # mean square of what neither explains
    return Graded(times / runs, runs, spread, (of_runs - together / n) / spread, together / spread)


def pool_seeds(models: Sequence[Graded]) -> Seeds:
    """Over models of any number of runs, by their degrees of freedom."""
    freedom = sum(model.runs - 1 for model in models)
    if freedom == 0:
        return Seeds(0.0, 0.0, 0)
    alone = sum((model.runs - 1) * model.alone for model in models) / freedom
    return Seeds(alone, sum((model.runs - 1) * model.with_pictures for model in models) / freedom, freedom)


def accuracy_interval(model: Graded, seeds: Seeds) -> tuple[float, float]:
    """95 % for the accuracy to expect over all seeds and all pictures of the same kind.

    Wilson's interval for as many pictures as would leave the same variance by themselves (Korn and Graubard 1998,
    Survey Methodology 24, 193-201), with Student's quantile. With `seeds.freedom` 0 it is Wilson's over the pictures,
    and says nothing of other seeds.

    Returns:
        Lower and upper end, within 0 and 1.
    """
    variance, freedom = _total(_over_pictures(model.by_picture, ADDED_TO_ACCURACY), [model], seeds)
    quantile = float(special.stdtrit(freedom, (1 + LEVEL) / 2))
    return wilson_interval(model.accuracy, model.spread / variance, quantile)


def compare(first: Graded, second: Graded, seeds: Seeds) -> Difference:
    """The first model minus the second, on the same pictures in the same order.

    Runs are taken to be independent, also those of two models with the same seed. With one run each and nothing known
    of seeds it is Newcombe's interval and McNemar's exact test over the pictures.
    """
    if first.runs == second.runs == 1 and seeds.freedom == 0:
        return _of_single_runs(first.by_picture > 0, second.by_picture > 0)
    by_picture = first.by_picture - second.by_picture
    variance, freedom = _total(_over_pictures(by_picture, ADDED_TO_DIFFERENCE), [first, second], seeds)
    difference, error = float(by_picture.mean()), math.sqrt(variance)
    reach = float(special.stdtrit(freedom, (1 + LEVEL) / 2)) * error
    p = 2 * float(special.stdtr(freedom, -abs(difference) / error))
    low, high = max(-1.0, difference - reach), min(1.0, difference + reach)
    return Difference(difference, low, high, p, p, (first.runs, second.runs), first.n, seeds.freedom)


def compare_all(models: Sequence[Graded], seeds: Seeds) -> dict[tuple[int, int], Difference]:
    """Every model with every other, by their places: `[i, j]` is model i minus model j.

    Holm's correction (1979) is over all pairs, not only over those with the most accurate: which one that is depends on
    the same pictures and seeds, and over all pairs the level holds whichever it is.
    """
    pairs = list(itertools.combinations(range(len(models)), 2))
    found = [compare(models[i], models[j], seeds) for i, j in pairs]
    every: dict[tuple[int, int], Difference] = {}
    for (i, j), plain, adjusted in zip(pairs, found, holm([one.p for one in found]), strict=True):
        every[i, j] = replace(plain, p_adjusted=adjusted)
        every[j, i] = every[i, j].turned()
    return every


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted by Holm's step-down method (1979, Scandinavian Journal of Statistics 6, 65-70), in the order given."""
    adjusted, least = [0.0] * len(p_values), 0.0
    for place, number in enumerate(np.argsort(p_values)):
        least = max(least, min(1.0, (len(p_values) - place) * p_values[number]))
        adjusted[number] = least
    return adjusted


def in_words(one: Difference, other: str) -> str:
    """What is said of a model beside `other`, to go on from "it is".

    `worse than trial 5 by 4.3 points (3.1 to 5.6)`, `not distinguishable from trial 5: -0.7 points (-2.0 to +0.6)`.
    """
    if one.differs:
        return f"{one.verdict} than {other} by {size_in_points(one)}"
    if one.verdict is Verdict.ALIKE:
        return f"not distinguishable from {other}: {in_points(one)}{among_all(one)}"
    few = "one run of each, so only the pictures vary: too few seeds to say which is better"
    return f"at {in_points(one)} beside {other} ({few})"


def among_all(one: Difference) -> str:
    """Why one whose interval leaves out 0 is not told apart all the same; nothing for others."""
    apart = one.verdict is Verdict.ALIKE and (one.low > 0 or one.high < 0)
    return ", which would tell two models apart, but not one pair among all of these" if apart else ""


def size_in_points(one: Difference, name: str = "") -> str:
    """`4.3 points (3.1 to 5.6)`, of one that differs; `name` is what the brackets call the interval."""
    low, high = sorted((abs(one.low), abs(one.high)))
    return f"{100 * abs(one.difference):.1f} points ({name}{100 * low:.1f} to {100 * high:.1f})"


def in_points(one: Difference, name: str = "") -> str:
    """`-0.7 points (-2.0 to +0.6)`."""
    return f"{signed(one.difference)} points ({name}{signed(one.low)} to {signed(one.high)})"


def signed(share: float) -> str:
    """In points: `-0.7`, `+0.0`, never -0.0."""
    return f"{round(100 * share, 1) + 0.0:+.1f}"


def _of_single_runs(first: np.ndarray, second: np.ndarray) -> Difference:
    """(n,) bool each."""
    both, gained, lost = int((first & second).sum()), int((first & ~second).sum()), int((second & ~first).sum())
    pairs = Pairs(both, lost, gained, len(first) - both - gained - lost)
    low, high = pairs.difference_interval()
    return Difference(pairs.difference, low, high, pairs.p_value, pairs.p_value, (1, 1), pairs.n, 0)


def _over_pictures(values: np.ndarray, added: tuple[float, ...]) -> float:
    """The variance of the mean of (n,) values over pictures."""
    return float(np.append(values, added).var()) / len(values)


def _total(over_pictures: float, models: Sequence[Graded], seeds: Seeds) -> tuple[float, float]:
    """Variance of an accuracy, or of the difference of two, and its degrees of freedom.

    What is unsure is what accuracies of runs vary by, which few of them show. The part over pictures, of hundreds,
    counts as known: where runs do not vary at all, degrees of freedom are infinite.
    """
    variance, of_runs = over_pictures, 0.0
    for model in models:
        alone = max(seeds.alone, model.alone) if model.runs > 1 else seeds.alone
        variance += max(0.0, alone) * model.spread / model.runs
        of_runs += max(0.0, alone + seeds.with_pictures / model.n) * model.spread / model.runs
    return variance, seeds.freedom * max(1.0, variance / of_runs) ** 2 if of_runs > 0 else math.inf
