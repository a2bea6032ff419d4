"""The report as one HTML file: Plotly inside once, no network, nothing executed but our two scripts."""

import base64
import hashlib
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import plotly.offline
from markupsafe import Markup, escape

from studies.plots.style import BEYOND, FRONT, GRID, INK, QUIET
from studies.report.blocks import Chart, Picture, Report
from studies.tables.table import Table
from studies.wording import printable

HERE = Path(__file__).parent
STATIC = ("bar", "heatmap")  # nothing to zoom into, and the bar of tools would lie over the first row
CONFIG = {
    "displaylogo": False,
    "responsive": True,
    "modeBarButtonsToRemove": ["sendChartToCloud", "lasso2d", "select2d"],
}


def render(report: Report) -> str:
    """The whole file's text. Whatever comes from outside is escaped; the policy lets only our scripts run."""
    library, drawing = plotly.offline.get_plotlyjs(), (HERE / "page.js").read_text(encoding="utf-8")
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            report=report,
            library=Markup(library),
            drawing=Markup(drawing),
            style=Markup(_palette() + running_title(report.title) + (HERE / "page.css").read_text(encoding="utf-8")),
            policy=policy(library, drawing),
            single=len(report.chapters) == 1,
        )
    )


def _palette() -> str:
    """The colours of the plots, by the names that the stylesheet calls them by."""
    return f":root {{ --front: {FRONT}; --beyond: {BEYOND}; --ink: {INK}; --quiet: {QUIET}; --grid: {GRID} }}\n"


def running_title(title: str) -> str:
    """On paper, above each page but the first; every letter that CSS or HTML could take for its own is a number."""
    text = "".join(letter if letter.isalnum() else f"\\{ord(letter):06x}" for letter in printable(title))
    return f'@page {{ @top-left {{ content: "{text}" }} }}\n'


def policy(*scripts: str) -> str:
    """Content-Security-Policy: no request to anywhere, and only these scripts."""
    hashes = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")


def chart_json(chart: Chart) -> Markup:
    """For `<script type="application/json">`: no `<` is left, so nothing in it can end the element."""
    figure = json.loads(chart.figure.to_json())
    figure["layout"]["height"] = chart.height
    figure["layout"].pop("width", None)
    config = {**CONFIG, "displayModeBar": False} if figure["data"][0]["type"] in STATIC else CONFIG
    text = json.dumps({"data": figure["data"], "layout": figure["layout"], "config": config}, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def picture_url(picture: Picture) -> str:
    """The picture itself as an address, so that the page needs no other file."""
    kind = "jpeg" if picture.png.startswith(b"\xff\xd8") else "png"
    return f"data:image/{kind};base64,{base64.b64encode(picture.png).decode('ascii')}"


def table_html(table: Table) -> Markup:
    """A table as it stands in the page."""
    return Markup(table.to_html())  # which escapes


def prose(text: str) -> Markup:
    """A text with `code` between backticks; a number and its unit stay on one line."""
    joined = re.sub(r"(?<=\d) (?=%|(?:ms|px|s|min|MFLOPs)\b)", "\N{NO-BREAK SPACE}", printable(text))
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(joined))))


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Any] = {
        "chart_json": chart_json,
        "picture_url": picture_url,
        "table_html": table_html,
        "prose": prose,
        "kind": lambda block: type(block).__name__,
        "anchor": lambda name: re.sub(r"[^\w.-]", "-", name),
    }
    environment.filters.update(filters)
    return environment
