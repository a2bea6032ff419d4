"""Two classifiers on the same pictures: what the second one gains or loses, and whether chance explains it."""

import math
from dataclasses import dataclass

from pydantic import with_config
from scipy import stats

from studies import strict
from studies.scores import wilson_interval


@with_config(strict.STRICT)
@dataclass(frozen=True)
class Pairs:
    """Pictures, counted by whether the first and the second classifier have them right.

    Attributes:
        lost: the first alone is right.
        gained: the second alone is right.
    """

    both_right: int
    lost: int
    gained: int
    both_wrong: int

    @property
    def n(self) -> int:
        """Number of pictures."""
        return self.both_right + self.lost + self.gained + self.both_wrong

    @property
    def accuracy(self) -> float:
        """Of the second, 0 to 1."""
        return (self.both_right + self.gained) / self.n

    @property
    def interval(self) -> tuple[float, float]:
        """95 % for that accuracy: Wilson's over the pictures."""
        return wilson_interval(self.accuracy, self.n)

    @property
    def difference(self) -> float:
        """Accuracy of the second minus that of the first."""
        return (self.gained - self.lost) / self.n

    @property
    def p_value(self) -> float:
        """Of McNemar's exact test (1947) that both are equally accurate: the binomial one over what only one has."""
        only_one = self.lost + self.gained
        return float(stats.binomtest(self.lost, only_one).pvalue) if only_one else 1.0

    def difference_interval(self, level: float = 0.95) -> tuple[float, float]:
        """For the difference: Newcombe's method 10 (1998, Statistics in Medicine 17, 2635-2650).

        The distances of Wilson's intervals for the two accuracies are added in quadrature, less what their
        correlation phi takes away; a positive phi is corrected for continuity. It keeps its level where one of
        the four counts is 0, as is usual here, and is 0 wide nowhere.

        Args:
            level: share of such intervals that hold the difference.

        Returns:
            Lower and upper end.
        """
        first, second = self.both_right + self.lost, self.both_right + self.gained
        down_1, up_1 = _distances(first, self.n, level)
        down_2, up_2 = _distances(second, self.n, level)
        product = float(self.both_right * self.both_wrong - self.lost * self.gained)
        if product > 0:
            product = max(product - self.n / 2, 0.0)
        size = math.sqrt(first * (self.n - first) * second * (self.n - second))
        phi = product / size if size else 0.0
        low = math.sqrt(down_2**2 - 2 * phi * down_2 * up_1 + up_1**2)
        high = math.sqrt(up_2**2 - 2 * phi * up_2 * down_1 + down_1**2)
        return self.difference - low, self.difference + high

    @property
    def loses(self) -> bool:
        """Whether the second loses more than chance explains: the 95 % interval lies below 0."""
        return self.difference_interval()[1] < 0

    @property
    def gains(self) -> bool:
        """Whether the second gains more than chance explains: the 95 % interval lies above 0."""
        return self.difference_interval()[0] > 0


def _distances(right: int, n: int, level: float) -> tuple[float, float]:
    """From a share down and up to the ends of its Wilson interval."""
    ends = stats.binomtest(right, n).proportion_ci(level, method="wilson")
    return right / n - float(ends.low), float(ends.high) - right / n
