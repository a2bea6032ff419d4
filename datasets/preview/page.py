"""The preview as one HTML file with everything inside: no script, no network, readable aloud."""

import base64
import io
from html import escape

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from datasets.preview.figure import ROWS, draw_counts, draw_shares, strip
from datasets.preview.samples import ClassRow, Preview, about_test, balance, heading, size
from datasets.wording import counted, printable

_LOSSLESS = 64  # pixels; the samples of larger pictures are JPEG
_ACROSS = 14  # samples; more are scrolled sideways on a phone
_STYLE = """
body { font: 16px/1.45 system-ui, sans-serif; color: #222; max-width: 75rem; margin: 2rem auto; padding: 0 1rem }
dt { font-weight: 600; float: left; clear: left; width: 9rem } dd { margin: 0 0 .3rem 9.5rem; overflow-wrap: anywhere }
table { border-collapse: collapse; width: 100% } caption { text-align: left; padding-bottom: .5rem; color: #555 }
th, td { padding: .35rem .7rem; text-align: left; border-bottom: 1px solid #ddd; overflow-wrap: anywhere }
tbody th { min-width: 10rem; max-width: 16rem } th.number, td.number { text-align: right; white-space: nowrap }
table img { height: 64px; max-width: 100%; object-fit: contain; object-position: left }
img.small { image-rendering: pixelated }
.charts { display: flex; flex-wrap: wrap; align-items: center; gap: 1rem } .charts > * { flex: 1 1 18rem; min-width: 0 }
.chart { max-width: 100%; height: auto } .scroll { overflow-x: auto } .scroll.long { flex-basis: 100% }
@media (max-width: 40rem) {
  h1 { font-size: 1.5rem } dt { float: none } dd { margin-left: 0 } .long img { max-width: none; width: 60rem }
  table, caption, tbody { display: block } thead { display: none }
  tr { display: grid; grid-template-columns: 1fr auto auto; border-bottom: 1px solid #ddd; padding: .5rem 0 }
  th, td { padding: .15rem .3rem; border: 0 } tbody th { min-width: 0; max-width: none }
  td:nth-child(2)::after { content: " pictures" } td:last-child { grid-column: 1 / -1; min-width: 0; overflow-x: auto }
  table img { width: 100%; height: auto; max-width: none } table img.many { width: 80rem }
}
"""


def page(preview: Preview) -> str:
    """The whole file's text. Whatever comes from file names is escaped."""
    title = escape(heading(preview))
    across = max(len(row.samples) + len(row.changed) for row in preview.rows)
    facts = "\n".join(f"<dt>{name}</dt><dd>{escape(printable(text))}</dd>" for name, text in _facts(preview))
    rows = "\n".join(_row(row, across, preview.n) for row in preview.rows)
    wide = " long" if len(preview.rows) > ROWS else ""
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title><style>{_STYLE}</style></head>
<body>
<h1>{title}</h1>
<dl>
{facts}
</dl>
<h2>Class distribution</h2>
<div class="charts">
<div class="scroll{wide}"><img class="chart" src="{_chart(draw_counts(preview))}" alt="{escape(_counts(preview))}">
</div>
<img class="chart" src="{_chart(draw_shares(preview))}" alt="{escape(_shares(preview))}">
</div>
<h2>Samples</h2>
<table>
<caption>{escape(_caption(preview))}</caption>
<thead><tr><th>class</th><th class="number">pictures</th><th class="number">share</th><th>samples</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
</body></html>
"""


def _facts(preview: Preview) -> list[tuple[str, str]]:
    facts = preview.facts
    val = f", {facts.n_val:,} of them its own validation split" if facts.n_val is not None else ""
    return [
        ("pictures", f"{preview.n:,} to train and validate on{val}; {balance(preview)}"),
        ("size", size(preview)),
        ("test split", about_test(preview)),
        ("left out", counted(facts.skipped, "file")),
        ("source", facts.source),
        (
            "digest",
            f"{preview.digest} (SHA-256 of the pictures at {facts.height} x {facts.width}, labels and class names)",
        ),
    ]


def _row(row: ClassRow, across: int, total: int) -> str:
    name = escape(printable(row.name))
    pictures = "none"
    if len(row.samples):
        changed = f", then {len(row.changed)} changed copies of the first" if len(row.changed) else ""
        alternative = f"{counted(len(row.samples), 'sample')} of {name}{changed}"
        kinds = ["small"] * (row.samples.shape[1] < _LOSSLESS) + ["many"] * (across > _ACROSS)
        small = f' class="{" ".join(kinds)}"' if kinds else ""
        pictures = f'<img{small} src="{_picture(strip(row, across))}" alt="{alternative}">'
    return (
        f'<tr><th scope="row">{name}</th><td class="number">{row.pictures:,}</td>'
        f'<td class="number">{row.pictures / total:.1%}</td><td>{pictures}</td></tr>'
    )


def _caption(preview: Preview) -> str:
    text = "Drawn at random with a fixed seed from the pictures to train and validate on."
    if preview.augment != "none":
        text += f" After the gap: the first one, changed by {preview.augment} augmentation."
    hidden = len(preview.counts) - len(preview.rows)
    return f"{text} {hidden:,} more classes are not shown." if hidden else text


def _counts(preview: Preview) -> str:
    return f"Bar chart of the pictures of each class: {balance(preview)}."


def _shares(preview: Preview) -> str:
    shares = ", ".join(f"{printable(name)} {count / preview.n:.1%}" for name, count in preview.slices)
    return f"Pie chart of the shares of classes: {shares}."


def _chart(figure: Figure) -> str:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=120)
    return _data_url("png", stream)


def _picture(tile: np.ndarray) -> str:
    stream = io.BytesIO()
    kind = "png" if tile.shape[0] < _LOSSLESS else "jpeg"
    Image.fromarray(tile).save(stream, kind, **({"quality": 90} if kind == "jpeg" else {"optimize": True}))
    return _data_url(kind, stream)


def _data_url(kind: str, stream: io.BytesIO) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"
