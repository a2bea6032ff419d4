"""Predictions as a file."""

import csv

import numpy as np

from studies.tables.predictions import to_csv


def test_names_that_would_spoil_a_table():
    rows = list(csv.reader(to_csv(["a,b.png"], ["x\ny", "z"], np.array([[0.25, 0.75]])).splitlines(keepends=True)))
    assert rows == [
        ["picture", "class", "probability", "p(x\ny)", "p(z)"],
        ["a,b.png", "z", "0.750000", "0.250000", "0.750000"],
    ]
