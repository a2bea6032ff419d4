"""The section of the map."""

from studies.report.blocks import Chart, Text
from studies.report.gallery import Gallery
from studies.report.mapped import mapped
from tests import made


def test_it_says_what_was_known_before_the_first_trial(make_material):
    found = made.network_map(made.probe(12, 32, 0.5), made.probe(0, 32, 0.4), made.probe(0, 64, 0.7), of_train=5000)
    section = mapped(make_material([], map=found), Gallery())
    text, flops_or_latency, other, table = section.blocks
    assert isinstance(text, Text)
    assert "The most accurate probe, 70.0 %, is that of all 18 blocks at 64 px; probes are no trials" in text.text
    assert "fitted on 4,000 of 5,000 training pictures" in text.text
    assert [one.name for one in (flops_or_latency, other)] == ["map_latency", "map_flops"]
    assert all(isinstance(one, Chart) for one in (flops_or_latency, other))
    assert other.alt == (
        "Accuracy of frozen places against FLOPs, a line for each side: the front rises from 50.0 % at 32 px to "
        "70.0 % at 64 px."
    )
    assert len(table.rows) == 2


def test_without_a_map_there_is_no_section(make_material):
    assert mapped(make_material([]), Gallery()) is None
