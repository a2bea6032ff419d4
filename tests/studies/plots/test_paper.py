"""Static pictures: the same points as the pages, in three formats, without a browser."""

import pytest
from PIL import Image

from studies.objectives import FLOPS, LATENCY, VAL_ACCURACY
from studies.plots import paper
from studies.plots.data import pareto_data, three_data


def test_three_formats_are_what_they_say(records, tmp_path):
    figure = paper.draw_pareto(pareto_data("s", records, LATENCY))
    png, svg, pdf = paper.write(figure, tmp_path / "a.b")
    assert [path.name for path in (png, svg, pdf)] == ["a.b.png", "a.b.svg", "a.b.pdf"]
    with Image.open(png) as image:
        assert image.size == (1200, 750)
    assert b"<svg" in svg.read_bytes()
    assert pdf.read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("x", [LATENCY, FLOPS])
def test_axes_have_titles_with_units_and_all_points(records, x):
    data = pareto_data("s", records, x)
    axes = paper.draw_pareto(data).axes[0]
    assert axes.get_xlabel() == data.x.label
    assert axes.get_ylabel() == VAL_ACCURACY.label
    drawn = sorted(
        tuple(point)
        for scatter in axes.collections
        if scatter.get_label() in ("front", "dominated", "on the front of all three")
        for point in scatter.get_offsets().tolist()
    )
    expected = sorted((p.at(x), p.accuracy) for p in (*data.front, *data.beyond, *data.dominated))
    assert drawn == expected
    assert {text.get_text() for text in axes.texts} == {str(p.number) for p in data.front}


def test_front_is_on_top_and_large_when_all_three_are_shown(records):
    axes = paper.draw_three(three_data("s", records)).axes[0]
    sizes = axes.collections[0].get_sizes()
    assert list(sizes) == [22, 90, 90, 90]


def test_empty_study_is_drawn(tmp_path):
    paper.write(paper.draw_three(three_data("s", [])), tmp_path / "a")
    paper.write(paper.draw_pareto(pareto_data("s", [], LATENCY)), tmp_path / "b")
    assert len(list(tmp_path.iterdir())) == 6
