"""Which test pictures are worth showing."""

import numpy as np

from studies.finals import Predictions
from studies.report.gallery import Judged, right_ones, worst_mistakes

SHARES = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.3, 0.7], [0.95, 0.05]])


def test_the_surest_mistakes_first():
    predictions = Predictions(SHARES, np.array([1, 0, 1, 1, 0]))
    assert worst_mistakes(predictions, 5) == [Judged(0, 1, 0, 0.9, 0.1), Judged(1, 0, 1, 0.8, 0.2)]
    assert [one.place for one in worst_mistakes(predictions, 1)] == [0]


def test_the_surest_right_one_of_each_class():
    predictions = Predictions(SHARES, np.array([0, 1, 1, 1, 0]))
    assert [(one.place, one.true) for one in right_ones(predictions, 4)] == [(4, 0), (1, 1)]
    assert worst_mistakes(predictions, 5) == []
    assert right_ones(Predictions(SHARES[:1], np.array([1])), 4) == []
