"""The section on final models as deployed."""

import dataclasses

from studies.forms import AS_TRAINED, rank, verdict
from studies.report.chapters import chapter
from studies.report.forms import deployed, table
from studies.report.gallery import Gallery
from tests import made

LOSING = made.form("litert-int8", 0.5, lost=40, gained=4)
FORMS = [made.form(AS_TRAINED, None), made.form("litert", 2.0), LOSING]


def section_of(material, forms):
    return deployed(dataclasses.replace(material, forms=rank(forms)), Gallery())


def test_without_forms_there_is_no_section(evaluated):
    assert deployed(evaluated(), Gallery()) is None
    assert "forms" not in [section.name for section in chapter(evaluated()).sections]


def test_what_is_lost_is_said_first(evaluated):
    _, words, chart, rows = section_of(evaluated(), FORMS).blocks
    assert words.items == (verdict(LOSING),)
    assert chart.alt == (
        "Test accuracy against latency of 3 forms; on the front are trial 7 as litert-int8 (88.2 %, 0.5 ms) and trial "
        "7 as litert (90.0 %, 2 ms)."
    )
    assert [trace.name for trace in chart.figure.data] == [
        "front of all forms",
        "litert",
        "litert-int8",
        "best form of its model",
    ]
    assert rows.marked == {1}
    names = [section.name for section in chapter(dataclasses.replace(evaluated(), forms=rank(FORMS))).sections]
    assert names.index("forms") == names.index("tests") + 1


def test_the_command_that_makes_them_again_names_them(evaluated):
    material = dataclasses.replace(evaluated(), forms=rank(FORMS))
    (section,) = [section for section in chapter(material).sections if section.name == "reproducing"]
    assert section.blocks[1].text.splitlines()[1].endswith(" --seeds 2 --runtimes litert,litert-int8")


def test_where_nothing_is_lost_that_is_said(evaluated):
    words = section_of(evaluated(), FORMS[:2]).blocks[1].items
    assert words == ("On these 2,000 test pictures no form costs or gains more than chance explains.",)


def test_rows():
    found = table(rank([*FORMS, made.form("onnx", 3.0, energy_mj=1.5)]))
    heads = [column.head for column in found.columns]
    texts = [dict(zip(heads, row, strict=True)) for row in found.texts()]
    assert [text["mJ a picture"] for text in texts] == ["–", "–", "–", "1.5"]
    assert [text["marks"] for text in texts] == ["", "best form, front", "front", ""]
    assert texts[2]["p50 / p90 / p99 (ms)"] == "0.55 / 0.6 / 1"
    assert (texts[0]["inference (ms)"], texts[0]["measured in"], texts[0]["McNemar's p"]) == ("–", "–", "–")
    assert "mJ a picture" not in [column.head for column in table(rank(FORMS)).columns]
