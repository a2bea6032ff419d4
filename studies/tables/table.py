"""One table, five notations: a terminal, HTML for pages, Markdown and LaTeX for texts, CSV with the numbers in full.

A terminal's is made by `hpo.terminal.console`, since Rich is not needed elsewhere.
"""

import csv
import io
import numbers
import re
import textwrap
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from studies.wording import printable

MISSING = "–"
# Only what LaTeX takes for its own; other letters need a font that has them.
LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "[": "{[}",  # at the beginning of a row it would be an argument of the line break before it
    "*": "{*}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "–": "--",
    "…": r"\ldots{}",
} | {letter: f"\\{letter}" for letter in "&%$#_{}"}
LONG = 40  # rows; more do not fit a page
MANY = 9  # columns; more are set closer on a page
NARROW = 12  # letters in a line of a heading
NEEDS = r"% \usepackage{booktabs,graphicx,array,longtable}; names in other scripts: LuaLaTeX and a font that has them"
SHORT_LATEX = rf"""{NEEDS}
\begin{{table}}[htbp]
\centering\small\setlength{{\tabcolsep}}{{4pt}}
\caption{{CAPTION}}
\label{{tab:LABEL}}
\resizebox{{\ifdim\width>\linewidth\linewidth\else\width\fi}}{{!}}{{%
\begin{{tabular}}{{@{{}}KINDS@{{}}}}
\toprule
HEADS
\midrule
BODY
\bottomrule
\end{{tabular}}}}
\end{{table}}
"""
LONG_LATEX = rf"""{NEEDS}
\begingroup\tiny\setlength{{\tabcolsep}}{{2pt}}
\begin{{longtable}}{{@{{}}KINDS@{{}}}}
\caption{{CAPTION}}\label{{tab:LABEL}}\\
\toprule
HEADS
\midrule
\endhead
\bottomrule
\endfoot
BODY
\end{{longtable}}
\endgroup
"""
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")  # a spreadsheet runs a text that begins so
SIGNED = re.compile(r"[-+][\d.,]+ ?%?")  # this is a number all the same
WHOLE = re.compile(r"\d\.\de-\d\d|\([\d.]+–[\d.]+\)")
MARKDOWN = re.compile(r"[\\`*\[\]<>#|!~$]|(?<!\w)_|_(?!\w)")  # a _ within a word is one


@dataclass(frozen=True)
class Column:
    """A column: its heading with the unit, and how a value becomes a text.

    `show` is a format string, or a function of the value; `parts` are the names in the CSV file, more than one where
    values are tuples; `wide` columns hold sentences and may break into lines.
    """

    head: str
    show: str | Callable[[Any], str] = "{}"
    numeric: bool = False
    wide: bool = False
    parts: tuple[str, ...] = ()

    def text(self, value: Any) -> str:
        """A value as it is shown."""
        if value is None:
            return MISSING
        return self.show.format(value) if isinstance(self.show, str) else self.show(value)


@dataclass(frozen=True)
class Table:
    """`name` is that of its files and, with the chapter's, its place on the page; None in a row: no such value."""

    name: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]
    marked: frozenset[int] = field(default_factory=frozenset)  # rows that stand out, such as the recommended one

    def __post_init__(self) -> None:
        if wrong := [len(row) for row in self.rows if len(row) != len(self.columns)]:
            raise ValueError(f"rows of table {self.name} must have {len(self.columns)} cells. Received: {wrong[0]}")

    def texts(self) -> list[list[str]]:
        """Every cell as it is shown."""
        return [
            [printable(column.text(value)) for column, value in zip(self.columns, row, strict=True)]
            for row in self.rows
        ]

    def to_csv(self) -> str:
        """The values, with a line of column names."""
        return to_csv(
            [name for column in self.columns for name in (column.parts or (column.head,))],
            (
                [part for column, value in zip(self.columns, row, strict=True) for part in _parts(column, value)]
                for row in self.rows
            ),
        )

    def to_markdown(self) -> str:
        """Caption and rows."""
        return f"{markdown(self.caption)}\n\n{self.to_markdown_rows()}"

    def to_markdown_rows(self) -> str:
        """Without the caption."""
        rule = ["---:" if column.numeric else "---" for column in self.columns]
        heads = [[markdown(column.head) for column in self.columns], rule]
        rows = [[markdown(text) for text in row] for row in self.texts()]
        return "".join(f"| {' | '.join(line)} |\n" for line in [*heads, *rows])

    def to_latex(self, label: str = "") -> str:
        r"""A table for `\input`, referred to as `tab:<label>`, by default its name.

        Of the packages booktabs and graphicx, which makes a table that is too wide smaller; one of many rows is a
        longtable, which goes over pages.
        """
        long = len(self.rows) > LONG
        share = 0.2 if long or sum(column.wide for column in self.columns) > 1 else 0.28
        kinds = "".join(
            "r"
            if column.numeric
            else rf">{{\raggedright\arraybackslash}}p{{{share}\linewidth}}"
            if column.wide
            else "l"
            for column in self.columns
        )
        heads = " & ".join(_stacked(column) for column in self.columns) + r" \\"
        body = "\n".join(
            f"{' & '.join(_strong(latex(text), number in self.marked) for text in row)} \\\\"
            for number, row in enumerate(self.texts())
        )
        form = LONG_LATEX if long else SHORT_LATEX
        values = {"CAPTION": latex(self.caption), "LABEL": label or self.name, "KINDS": kinds, "HEADS": heads}
        return re.sub("|".join([*values, "BODY"]), lambda match: (values | {"BODY": body})[match[0]], form)

    def to_html(self) -> str:
        """`<table>` whose caption stands before it, so that it does not scroll with it; everything is escaped."""
        kinds = [' class="number"' if c.numeric else ' class="wide"' if c.wide else "" for c in self.columns]
        heads = "".join(
            f'<th scope="col"{kind}>{escape(column.head)}</th>'
            for column, kind in zip(self.columns, kinds, strict=True)
        )
        rows = []
        for number, row in enumerate(self.texts()):
            first, *others = [_unbroken(escape(text)) for text in row]
            cells = "".join(f"<td{kind}>{text}</td>" for text, kind in zip(others, kinds[1:], strict=True))
            attribute = ' class="marked"' if number in self.marked else ""
            rows.append(f'<tr{attribute}><th scope="row"{kinds[0]}>{first}</th>{cells}</tr>')
        body = "\n".join(rows)
        kind = ' class="many"' if len(self.columns) > MANY else ""
        return (
            f'<table{kind} aria-label="{escape(printable(self.caption))}">\n<thead><tr>{heads}</tr></thead>\n'
            f"<tbody>\n{body}\n</tbody>\n</table>"
        )


def of_texts(
    name: str, caption: str, heads: Sequence[str], rows: Iterable[Sequence[str]], left: Collection[str] = ()
) -> Table:
    """A table of texts that are ready to be read; numbers stand right, the columns in `left` do not."""
    columns = tuple(Column(head, numeric=head not in left) for head in heads)
    return Table(name, caption, columns, tuple(map(tuple, rows)))


def to_csv(heads: Sequence[str], rows: Iterable[Iterable[Any]]) -> str:
    """The text of a CSV file, the one way in which this project writes them.

    A text that a spreadsheet would run as a formula has an apostrophe before it (OWASP, CSV injection): names of
    classes and files may come from anyone.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerows([_inert(cell) for cell in row] for row in [heads, *rows])
    return stream.getvalue()


def _inert(cell: Any) -> Any:
    if cell is None or isinstance(cell, numbers.Number):
        return cell
    text = re.sub("\r\n?", "\n", str(cell))  # which the writer puts in quotation marks, unlike a carriage return
    return f"'{text}" if text.startswith(FORMULA) and not SIGNED.fullmatch(text) else text


def records_to_csv(records: Sequence[Mapping[str, Any]], heads: Sequence[str] | None = None) -> str:
    """The same of records with equal keys, which are the headings; `heads` where there may be no record."""
    names = list(heads or records[0])
    return to_csv(names, ([record[name] for name in names] for record in records))


def _parts(column: Column, value: Any) -> list[Any]:
    n = len(column.parts) or 1
    if value is None:
        return [None] * n
    parts = list(value) if n > 1 else [value]
    return [printable(part) if isinstance(part, str) else part for part in parts]


def _unbroken(text: str) -> str:
    """Small numbers and intervals stay on one line: a browser breaks `3.0e-04` behind its hyphen."""
    return WHOLE.sub(r'<span class="whole">\g<0></span>', text)


def _stacked(column: Column) -> str:
    """A heading; that of a narrow column in lines of few letters."""
    if column.wide or len(column.head) <= NARROW:
        return latex(column.head)
    lines = textwrap.wrap(column.head, NARROW, break_long_words=False, break_on_hyphens=False)
    side = "r" if column.numeric else "l"
    return rf"\shortstack[{side}]{{" + r"\\".join(map(latex, lines)) + "}"


def _strong(text: str, marked: bool) -> str:
    return rf"\textbf{{{text}}}" if marked else text


def latex(text: str) -> str:
    """A text without what LaTeX takes for its own; what lies between two numbers becomes a dash."""
    text = re.sub(r"(?<=\d)-(?=\d)", "–", text)
    return "".join(LATEX.get(letter, letter) for letter in text)


def markdown(text: str) -> str:
    """Text with everything escaped that Markdown would read as its own."""
    return MARKDOWN.sub(r"\\\g<0>", text)
