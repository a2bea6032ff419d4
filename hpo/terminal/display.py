"""What a study shows while it runs: a live view on a terminal, plain lines in a pipe or a log file."""

import json
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.status import Status
from rich.table import Table
from rich.text import Text

from hpo.config import StudyConfig
from hpo.worker.facts import Facts
from studies.pareto import front
from studies.records import CompleteTrial, State, TrialRecord
from studies.tables import trials

NEWEST = 6  # trials in the live table
REMIND_SECONDS = 60  # plain lines about a long trial
PIPE_WIDTH = 180  # columns for tables that no terminal limits


def make_display() -> "PlainDisplay":
    return LiveDisplay() if sys.stdout.isatty() else PlainDisplay()


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Rich would exit with code 1, which means something else here."""
        raise BrokenPipeError


def make_console() -> Console:
    """Standard output; in a pipe wide enough that no table is folded."""
    return _Console(highlight=False) if sys.stdout.isatty() else _Console(highlight=False, width=PIPE_WIDTH)


class PlainDisplay:
    """One line for each event, flushed at once."""

    def __init__(self) -> None:
        self.console = make_console()
        self.wanted, self.workers = 0, 1
        self.records: list[TrialRecord] = []
        self.members: Sequence[CompleteTrial] = []
        self.spoke = time.monotonic()

    def note(self, text: str) -> None:
        self._print(text)

    def prepared(self, config: StudyConfig, facts: Facts, records: list[TrialRecord]) -> None:
        self.wanted, self.workers = config.trials, max(1, config.workers)
        self.records, self.members = records, front(records)
        height, width, channels = facts.shape
        self._print(
            f"study {config.study_name}: {config.backbone} ({facts.blocks} blocks, weights {config.weights}) "
            f"on {facts.dataset} ({len(facts.class_names)} classes, {height}x{width}x{channels})"
        )
        if facts.skipped:
            self._print(f"left out: {facts.skipped} unreadable files")
        self._print(f"{facts.n_train} pictures to train on, {facts.n_val} to validate on; test: {facts.test_split}")
        sides = ", ".join(map(str, facts.resolutions))
        self._print(f"resolutions {sides} px; {config.epochs} epochs a trial; device {facts.machine['device']}")
        done = sum(record.counts for record in records)
        self._print(f"{done} of {config.trials} trials done" + (", continuing" if 0 < done < config.trials else ""))

    def told(self, record: TrialRecord, records: list[TrialRecord]) -> None:
        self.records, self.members = records, front(records)
        self._print(self._line(record))

    def waiting(self, text: str) -> None:
        if time.monotonic() - self.spoke > REMIND_SECONDS:
            self._print(f"still {text}")

    def tick(self, running: Mapping[int, Path]) -> None:
        if time.monotonic() - self.spoke > REMIND_SECONDS:
            for number, path in running.items():
                self._print(f"trial {number}: {doing(path)}")

    def close(self) -> None:
        pass

    def _line(self, record: TrialRecord) -> str:
        finished = sum(one.counts for one in self.records)
        members = self.members
        text = f"[{finished}/{self.wanted}] trial {record.number} {numbers(record)}"
        if record.state == State.COMPLETE:
            on_front = any(member.number == record.number for member in members)
            text += f" | front {len(members)}{' (new member)' if on_front else ''}"
        left = time_left(self.records, self.wanted, self.workers)
        return text + (f" | {left} left" if left else "") + f" | {trials.describe(record.candidate)}"

    def _print(self, text: str) -> None:
        self.spoke = time.monotonic()
        self.console.print(Text(text), soft_wrap=True)
        sys.stdout.flush()


class LiveDisplay(PlainDisplay):
    """The newest trials, what is being done now, how far it has come, and the front; redrawn in place."""

    def __init__(self) -> None:
        super().__init__()
        self.running: Mapping[int, Path] = {}
        self.status: Status | None = None
        self.live = Live(console=self.console, get_renderable=self._view, refresh_per_second=4, transient=True)

    def waiting(self, text: str) -> None:
        if self.status is None:
            self.status = self.console.status(text)
            self.status.start()

    def prepared(self, config: StudyConfig, facts: Facts, records: list[TrialRecord]) -> None:
        self._end_status()
        super().prepared(config, facts, records)
        self.live.start()

    def told(self, record: TrialRecord, records: list[TrialRecord]) -> None:
        self.records, self.members = records, front(records)

    def tick(self, running: Mapping[int, Path]) -> None:
        self.running = running

    def close(self) -> None:
        self._end_status()
        self.live.stop()

    def _end_status(self) -> None:
        if self.status is not None:
            self.status.stop()
            self.status = None

    def _view(self) -> RenderableType:
        finished = sum(record.counts for record in self.records)
        members = self.members
        chosen = {member.number for member in members}
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for head, justify in (
            ("trial", "right"),
            ("", "left"),
            ("val_accuracy", "right"),
            ("latency ms", "right"),
            ("MFLOPs", "right"),
            ("s", "right"),
            ("parameters", "left"),
        ):
            table.add_column(head, justify=justify, overflow="fold")  # type: ignore[arg-type]
        for record in [one for one in self.records if one.state not in (State.RUNNING, State.WAITING)][-NEWEST:]:
            table.add_row(
                str(record.number),
                "front" if record.number in chosen else "",
                *_cells(record),
                trials.describe(record.candidate),
            )
        left = time_left(self.records, self.wanted, self.workers)
        best = max((member.val_accuracy for member in members), default=None)
        bar = Table.grid(padding=(0, 1))
        bar.add_row(
            ProgressBar(self.wanted, finished, width=24),
            f"{finished} of {self.wanted} trials",
            f"{left} left" if left else "",
        )
        now = [Text(f"trial {number}: {doing(path)}") for number, path in self.running.items()]
        grown = f"front: {len(members)} member{'s' * (len(members) != 1)}"
        if best is not None:
            grown += f", best val_accuracy {best:.4f}"
        return Group(table, Text(grown), *now, bar)


def numbers(record: TrialRecord) -> str:
    """The three numbers of a finished trial, or why it has none."""
    if isinstance(record, CompleteTrial):
        return (
            f"val_accuracy {record.val_accuracy:.4f}, {trials.latency(record.measurement)} ms, "
            f"{record.measurement.flops / 1e6:.4g} MFLOPs, {record.seconds:.1f} s"
        )
    reason = trials.why(record)
    if record.state in (State.STOPPED, State.DUPLICATE):
        return reason
    words = {State.INFEASIBLE: "over budget, not trained"}.get(record.state, record.state)
    return words + (f": {reason}" if reason else "")


def _cells(record: TrialRecord) -> tuple[str, str, str, str]:
    if record.measurement is None:
        return record.state, "", "", ""
    accuracy = {State.INFEASIBLE: "over budget"}.get(record.state, record.state)
    if record.val_accuracy is not None:
        accuracy = f"{record.val_accuracy:.4f}"
    return (
        accuracy,
        trials.latency(record.measurement),
        f"{record.measurement.flops / 1e6:.4g}",
        f"{record.seconds:.1f}",
    )


def doing(path: Path) -> str:
    """What a running trial does now, from its signs of life."""
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        since = time.time() - path.stat().st_mtime
    except (OSError, ValueError):  # just ended, or just being written
        return "ending"
    where = said.get("where") or []
    text = {
        "build": "building the model",
        "measure": "measuring latency and FLOPs",
        "extract": "running the frozen layers once",
        "train": "training",
    }.get(said.get("phase"), "starting")
    if len(where) == 2:
        text += f", epoch {where[0]} ({where[1]:.0%})"
    elif len(where) == 1:
        text += f" ({where[0]:.0%})"
    return text + (f", silent for {since:.0f} s" if since > 10 else "")


def time_left(records: Sequence[TrialRecord], wanted: int, workers: int) -> str:
    """From the mean duration of the trials so far: `4 min`; empty while there is nothing to go by."""
    durations = [record.seconds for record in records if record.counts and record.seconds > 0]
    missing = wanted - sum(record.counts for record in records)
    if not durations or missing <= 0:
        return ""
    seconds = statistics.fmean(durations) * missing / workers
    if seconds < 90:
        return f"about {seconds:.0f} s"
    return f"about {seconds / 60:.0f} min" if seconds < 5400 else f"about {seconds / 3600:.1f} h"


def show_front(console: Console, records: Sequence[TrialRecord]) -> None:
    """The front as a table, from the fastest to the slowest."""
    heads, cells = trials.front_rows(front(records))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title="Pareto front", title_justify="left")
    for head in heads:
        table.add_column(head, justify="left" if head == "parameters" else "right", overflow="fold")
    for row in cells:
        table.add_row(*row)
    console.print(table)
