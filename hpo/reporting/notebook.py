"""A study in a notebook: as a data frame, as a figure, and as what a cell shows."""

import base64
import io
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from datasets.wording import counted
from hpo.errors import BadField
from studies.objectives import COSTS, LATENCY
from studies.pareto import front
from studies.plots import page, paper
from studies.plots.data import pareto_data
from studies.records import TrialRecord
from studies.tables import trials as tables
from studies.tables.frame import records_to_frame

if TYPE_CHECKING:
    import pandas
    import plotly.graph_objects as go

AXES = {cost.stem: cost for cost in COSTS}
DPI = 100


def to_frame(records: Sequence[TrialRecord]) -> "pandas.DataFrame":
    """A row for each trial, with the columns of trials.csv; the trial's number is the index."""
    members = {record.number for record in front(records)}
    columns = tables.columns_of(records)
    rows = [tables.row(record, record.number in members, columns) for record in records]
    return records_to_frame(rows, columns).set_index("trial")


def draw(name: str, records: Sequence[TrialRecord], against: str) -> "go.Figure":
    """Accuracy against a cost.

    Args:
        name: of the study.
        records: its trials.
        against: "latency" or "flops".

    Raises:
        BadInput: it is another.
    """
    if against not in AXES:
        raise BadField("against", f"must be one of {', '.join(AXES)}. Received: {against}")
    return page.draw_pareto(pareto_data(name, records, AXES[against]))


def to_html(name: str, records: Sequence[TrialRecord]) -> str:
    """The front as a table and as a picture; it needs neither a network nor scripts."""
    members = front(records)
    ended = counted(sum(record.counts for record in records), "trial")
    title = f"<p><b>{escape(name)}</b>: {ended}, {len(members)} on the Pareto front</p>"
    if not members:
        return title
    stream = io.BytesIO()
    paper.draw_pareto(pareto_data(name, records, LATENCY)).savefig(stream, format="png", dpi=DPI)
    source = base64.b64encode(stream.getvalue()).decode("ascii")
    picture = f'<img alt="Pareto front of {escape(name)}" src="data:image/png;base64,{source}">'
    return title + tables.front_table(members).to_html() + picture
