"""Pictures of a final evaluation: the numbers in them are those of the runs."""

import numpy as np
from PIL import Image

from studies.finals import summarise
from studies.plots.finals import draw_confusion, draw_curves, write
from tests.studies.test_finals import make_run  # noqa: F401  (fixture)

NAMES = ["<b>cat</b>", "猫$x_1$"]


def model_of(make_run):  # noqa: F811
    (model,) = summarise([make_run("3", 0, 90), make_run("3", 1, 92)], {"3": 0.95})
    return model


def test_cells_are_shares_of_the_true_class(make_run):  # noqa: F811
    model = model_of(make_run)
    axes = draw_confusion(model, NAMES).axes[0]
    counts = model.confusion()
    np.testing.assert_allclose(axes.images[0].get_array(), counts / counts.sum(1, keepdims=True))
    assert [text.get_text() for text in axes.get_xticklabels()] == NAMES
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")


def test_a_curve_for_each_seed(make_run):  # noqa: F811
    model = model_of(make_run)
    loss, accuracy = draw_curves(model).axes
    assert [line.get_label() for line in loss.lines] == ["seed 0", "seed 1"]
    assert list(accuracy.lines[1].get_ydata()) == [point["accuracy"] for point in model.runs[1].curve]


def test_many_classes_are_not_all_named(make_run, tmp_path):  # noqa: F811
    model = model_of(make_run)
    names = [f"class {number}" for number in range(100)]
    many = np.eye(100, dtype=int)
    for run in model.runs:
        object.__setattr__(run.scores, "confusion", many.tolist())
    axes = draw_confusion(model, names).axes[0]
    assert len(axes.get_xticklabels()) == 34
    assert not axes.texts
    for path in write(model, names, tmp_path):
        with Image.open(path) as image:
            assert image.size[0] > 400
