"""What is drawn of maps."""

from studies.objectives import FLOPS, LATENCY
from studies.plots.probes import draw_page, draw_paper, map_data
from tests import made

SMALL = [made.probe(4, 32, 0.3), made.probe(12, 32, 0.5), made.probe(0, 32, 0.4)]
LARGE = [made.probe(4, 64, 0.2), made.probe(0, 64, 0.7)]
MAP = made.network_map(*SMALL, *LARGE)


def test_a_line_for_each_side_and_the_front_over_all():
    data = map_data([MAP], FLOPS)
    assert [(line.name, line.points) for line in data.lines] == [("32 px", tuple(SMALL)), ("64 px", tuple(LARGE))]
    assert data.front == (SMALL[0], SMALL[1], LARGE[1])
    assert data.title == "Map of mobilenet_v2_0.35 on cifar10"
    assert "4,000 training and 1,000 validation pictures" in data.subtitle
    assert data.log_x  # 4 to 36 MFLOPs


def test_networks_share_the_colours_of_their_sides():
    other = made.network_map(made.probe(2, 64, 0.3, backbone="custom_cnn", blocks=4), backbone="custom_cnn")
    data = map_data([MAP, other], LATENCY)
    assert [(line.name, line.backbone, line.side) for line in data.lines] == [
        ("mobilenet_v2_0.35, 32 px", 0, 0),
        ("mobilenet_v2_0.35, 64 px", 0, 1),
        ("custom_cnn, 64 px", 1, 1),
    ]


def test_both_draw_the_same():
    data = map_data([MAP], FLOPS)
    figure, axes = draw_page(data), draw_paper(data).axes[0]
    assert [trace.name for trace in figure.data] == ["32 px", "64 px", "front"]
    assert list(figure.data[0].x) == [4.0, 12.0, 18.0]
    assert list(axes.lines[0].get_xdata()) == [4.0, 12.0, 18.0]
    assert list(axes.lines[0].get_ydata()) == list(figure.data[0].y) == [0.3, 0.5, 0.4]
    assert [text.get_text() for text in axes.texts] == ["12", "18"]  # the last of a side's on the front
    assert "the first 12 of 18 blocks, frozen" in figure.data[0].text[1]
