"""What is said of the models that were tested, and which of them stand side by side."""

import dataclasses

import numpy as np
from sklearn.metrics import precision_recall_fscore_support

from studies.report.blocks import Columns, Picture, Pictures, Text
from studies.report.detail import ModelFile
from studies.report.gallery import Gallery, ModelPictures
from studies.report.tested import PICTURES_OF_TWO, mistakes, results, saliency


def texts(section):
    return " ".join(block.text for block in section.blocks if isinstance(block, Text))


def shown(number, word):
    return tuple(Picture(b"png", "alt", f"{word} {one}") for one in range(number))


def looked(word, number=12):
    return ModelPictures(shown(number, word), f"the {word}.", shown(2, word), f"What {word} looks at.")


def test_the_recommended_and_the_most_accurate_one(evaluated):
    section = results(evaluated(), Gallery())
    assert "Shown in detail: trial 1 (recommended) and trial 2 (most accurate in the search), which" in texts(section)
    _, table, classes, matrices = section.blocks
    assert [table.rows[number][0] for number in sorted(table.marked)] == ["trial 2", "trial 1"]
    assert [chart.name for chart in matrices.charts] == ["confusion_1", "confusion_2", "confusion_baseline"]
    measures = ("precision (%)", "recall (%)", "F1")
    assert [column.head for column in classes.columns] == [
        "class", "test pictures", *(f"trial {number}: {what}" for number in (1, 2) for what in measures)
    ]  # fmt: skip
    assert classes.caption == "How trial 1 and trial 2 do on each class, means over training runs."


def test_numbers_by_class_are_those_of_scikit_learn(evaluated):
    """Of 30 pictures of three classes in turn the first 26 and 27 are right, the others taken for the next class."""
    _, _, classes, _ = results(evaluated(), Gallery()).blocks
    labels = np.arange(30) % 3
    for column, right in ((2, 26), (5, 27)):
        guesses = np.where(np.arange(30) < right, labels, (labels + 1) % 3)
        wanted = np.stack(precision_recall_fscore_support(labels, guesses)[:3], axis=1)
        np.testing.assert_allclose([row[column : column + 3] for row in classes.rows], wanted, rtol=1e-12)


def test_one_model_alone(evaluated, make_finals, curved):
    """It has no mistakes either."""
    finals, _, predictions = make_finals(curved[1:2], (30,))
    alone = dataclasses.replace(
        evaluated(), finals=finals, model_files={"1": ModelFile(("a", "b", "c"), predictions=predictions)}
    )
    section = results(alone, Gallery())
    assert [column.head for column in section.blocks[2].columns] == [
        "class", "test pictures", "precision (%)", "recall (%)", "F1"
    ]  # fmt: skip
    assert section.blocks[2].caption == "How trial 1 does on each class, means over training runs."
    assert section.blocks[-1].charts[0].caption.endswith("there is no mistake.")
    assert texts(mistakes(alone, Gallery())) == "trial 1 classifies every test picture correctly."


def test_pictures_of_two_models_are_side_by_side(evaluated):
    gallery = Gallery(models={"1": looked("one"), "2": looked("two")})
    (columns,) = saliency(evaluated(), gallery).blocks
    assert [column[0].text for column in columns.columns] == ["What one looks at.", "What two looks at."]
    columns, *tables = mistakes(evaluated(), gallery).blocks
    assert isinstance(columns, Columns)
    assert [len(column[1].pictures) for column in columns.columns] == [PICTURES_OF_TWO] * 2
    assert columns.columns[1][0].text == "trial 2 (most accurate in the search): the two."
    assert [table.name for table in tables] == ["mistakes_1", "mistakes_2"]


def test_pictures_of_one_model_stand_alone(evaluated):
    text, pictures = saliency(evaluated(), Gallery(models={"2": looked("two")})).blocks
    assert (text.text, isinstance(pictures, Pictures)) == ("What two looks at.", True)
    assert saliency(evaluated(), Gallery()) is None
