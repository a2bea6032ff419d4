"""The section of the map: what was known of the network before the first trial."""

from studies.objectives import COSTS
from studies.plots.probes import draw_map, map_data
from studies.probes import Map, front
from studies.report import charts
from studies.report.blocks import Block, Chart, Section, Text
from studies.report.gallery import Gallery
from studies.report.material import Material
from studies.report.wording import percent
from studies.tables.probes import METHOD, front_table, kept, subset


def mapped(material: Material, _gallery: Gallery) -> Section | None:
    """Probes of every place where the network may end, at each side; None for a study without a map."""
    found = material.map
    if found is None:
        return None
    text = f"{METHOD} {_best(found)}"
    if less := subset(found):
        text += f" {less}."
    blocks: list[Block] = [Text(text)]
    for cost in COSTS:
        data = map_data([found], cost)
        ends = data.front[0], data.front[-1]
        alt = (
            f"Accuracy of frozen places against {cost.noun}, a line for each side: the front rises from "
            f"{percent(ends[0].val_accuracy)} at {ends[0].resolution} px to {percent(ends[1].val_accuracy)} at "
            f"{ends[1].resolution} px."
        )
        caption = f"The map, accuracy against {cost.noun}: a line for each side, from the first block to all of them."
        blocks.append(Chart(f"map_{cost.stem}", caption, alt, charts.bare(draw_map(data))))
    return Section("map", "The map: frozen places before the first trial", (*blocks, front_table([found])))


def _best(found: Map) -> str:
    best = max(front(found.probes), key=lambda probe: (probe.val_accuracy, -probe.flops))
    return (
        f"The most accurate probe, {percent(best.val_accuracy)}, is that of {kept(best)} at {best.resolution} px; "
        "probes are no trials, and none is a final model."
    )
