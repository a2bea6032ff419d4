"""What a report is made of, whatever it is printed as: sections of texts, facts, tables, charts, pictures and code."""

from collections.abc import Iterator
from dataclasses import dataclass

import plotly.graph_objects as go

from studies.tables.table import Table


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Points:
    """Sentences below each other."""

    items: tuple[str, ...]
    ordered: bool = False


@dataclass(frozen=True)
class Facts:
    """Names with their values."""

    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Code:
    """Lines to be copied."""

    text: str


@dataclass(frozen=True)
class Chart:
    """A figure: `name` is that of its files, `alt` says in words what a reader sees who cannot see it.

    `height` in pixels; `least_width` too: on a narrower screen it is scrolled sideways.
    """

    name: str
    caption: str
    alt: str
    figure: go.Figure
    height: int = 460
    least_width: int = 0


@dataclass(frozen=True)
class Charts:
    """Small charts beside each other where there is room."""

    charts: tuple[Chart, ...]


@dataclass(frozen=True)
class Picture:
    """`png` is the file's bytes."""

    png: bytes
    alt: str
    caption: str


@dataclass(frozen=True)
class Pictures:
    """`height` in pixels at which each is shown, `width` of a column; `pixelated` where they are smaller than that."""

    pictures: tuple[Picture, ...]
    height: int
    width: int
    pixelated: bool = False


@dataclass(frozen=True)
class Columns:
    """Blocks beside each other where there is room, else one column below the other."""

    columns: "tuple[tuple[Block, ...], ...]"


Block = Text | Points | Facts | Code | Chart | Charts | Pictures | Columns | Table


@dataclass(frozen=True)
class Section:
    """`name` is its place on the page, unique in its chapter."""

    name: str
    title: str
    blocks: tuple[Block, ...]

    def flat(self) -> Iterator[Block]:
        """Its blocks, those in columns one by one."""
        for block in self.blocks:
            if isinstance(block, Columns):
                yield from (inner for column in block.columns for inner in column)
            else:
                yield block


@dataclass(frozen=True)
class Chapter:
    """A study, or what stands before all studies; `name` begins the places and the files of what is in it."""

    name: str
    title: str
    sections: tuple[Section, ...]

    def blocks(self) -> Iterator[Block]:
        """All of its sections, those in columns one by one."""
        for section in self.sections:
            yield from section.flat()

    def tables(self) -> Iterator[tuple[str, Table]]:
        """(file stem, table)."""
        for block in self.blocks():
            if isinstance(block, Table):
                yield self.place(block.name), block

    def charts(self) -> Iterator[tuple[str, Chart]]:
        """(file stem, chart)."""
        for block in self.blocks():
            for chart in block.charts if isinstance(block, Charts) else (block,):
                if isinstance(chart, Chart):
                    yield self.place(chart.name), chart

    def pictures(self) -> Iterator[tuple[str, Picture]]:
        """(file stem, picture), numbered from 1 in each section."""
        for section in self.sections:
            shown = [block.pictures for block in section.flat() if isinstance(block, Pictures)]
            for number, picture in enumerate((one for pictures in shown for one in pictures), start=1):
                yield self.place(f"{section.name}-{number}"), picture

    def place(self, name: str) -> str:
        """The anchor of something in it, unique on the page."""
        return f"{self.name}-{name}" if self.name else name


@dataclass(frozen=True)
class Report:
    """The whole page."""

    title: str
    about: str  # one line below the title
    chapters: tuple[Chapter, ...]
