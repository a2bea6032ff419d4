"""The files of maps on one data set: every probe as CSV and JSON, and pictures against each cost."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from studies.objectives import COSTS
from studies.paths import write_text
from studies.plots import page, paper
from studies.plots.probes import draw_page, draw_paper, map_data
from studies.probes import Map
from studies.tables import probes


@dataclass(frozen=True)
class Mapped:
    """Maps, and where they were written to.

    Attributes:
        maps: of each backbone.
        folder, files: what was written.
    """

    maps: Sequence[Map]
    folder: Path
    files: Sequence[Path]


def write_maps(maps: Sequence[Map], folder: Path) -> list[Path]:
    """Write them to `folder`, which is made if it is missing; returns the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, text in (("map.csv", probes.to_csv(maps)), ("map.json", json.dumps(probes.rows(maps), indent=1))):
        written.append(folder / name)
        write_text(written[-1], text)
    for cost in COSTS:
        stem, data = f"map_{cost.stem}", map_data(maps, cost)
        page.write_html(draw_page(data), folder / f"{stem}.html")
        written += [folder / f"{stem}.html", *paper.write(draw_paper(data), folder / stem)]
    return written
