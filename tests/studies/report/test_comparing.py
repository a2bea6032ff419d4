"""The chapter that sets studies side by side."""

import pytest

from studies.comparison import NotComparable
from studies.report.comparing import comparison_chapter
from tests import made


@pytest.fixture
def two(make_material, curved, make_record):
    other = make_material([make_record(0, 0.95, 9.0, 90)], name="other", fingerprint=made.fingerprint(backbone="vgg19"))
    return [make_material(curved), other]


def test_sentences_table_and_joint_front(two):
    found = comparison_chapter(two)
    assert [section.name for section in found.sections] == ["summary", "models", "front"]
    assert found.sections[0].blocks[0].items == (
        "The most accurate of all is trial 0 of other (customised): 95.0 % validation accuracy, 9 ms and 90 MFLOPs for "
        "one picture.",
        "The best pretrained baseline is custom_cnn with 60.0 % (trial 0 of custom_cnn-digits).",
        "The joint Pareto front has 4 candidates: 3 of custom_cnn-digits and 1 of other.",
    )
    ((_, table),) = found.tables()
    assert [row[:3] for row in table.rows] == [
        ("custom_cnn", "pretrained, frozen", "0*"),
        ("custom_cnn", "customised", "2*"),
        ("vgg19", "customised", "0*"),
    ]
    assert [stem for stem, _ in found.charts()] == ["comparison-joint_latency", "comparison-joint_flops"]


def test_a_study_without_results_says_so(two, make_material):
    found = comparison_chapter([two[0], make_material([], name="empty")])
    assert found.sections[0].blocks[0].items[0] == "No trial of empty completed."
    found = comparison_chapter([make_material([], name="empty")])
    assert [section.name for section in found.sections] == ["summary"]


def test_other_pictures_are_refused(two, make_material, curved):
    other = make_material(curved, name="odd", fingerprint=made.fingerprint(dataset_digest="e" * 64))
    with pytest.raises(NotComparable, match="dataset_digest"):
        comparison_chapter([*two, other])
