"""What is shown while something runs: live on a terminal or in a notebook, plain lines in a pipe or a log file."""

import html
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.status import Status
from rich.table import Table
from rich.text import Text

from hpo.config import StudyConfig
from hpo.terminal.console import make_console, on_terminal
from hpo.worker.facts import Facts
from hpo.worker.heartbeat import last_sign, silent_for
from models.latency import runtimes
from studies.fingerprint import KERAS
from studies.pareto import front
from studies.records import CompleteTrial, State, TrialRecord
from studies.tables import trials as tables
from studies.tables.table import of_texts

NEWEST = 6  # trials in the live table
REMIND_SECONDS = 60  # plain lines about what takes long
SILENT_SECONDS = 10  # from which on silence is mentioned
LIVE_HEADS = ("trial", "", "val_accuracy", "latency ms", "MFLOPs", "s", "parameters")


def make_display() -> "PlainDisplay":
    """The display for where we are: a notebook, a terminal, or a pipe."""
    if in_notebook():
        return NotebookDisplay()
    return LiveDisplay() if sys.stdout.isatty() else PlainDisplay()


def in_notebook() -> bool:
    """Whether standard output is a cell of a Jupyter notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and "IPKernelApp" in shell.config


class PlainDisplay:
    """One line for each event, flushed at once."""

    def __init__(self) -> None:
        self.console = make_console()
        self.wanted, self.workers = 0, 1  # trials
        self.records: list[TrialRecord] = []
        self.members: Sequence[CompleteTrial] = []
        self.done, self.total = 0, 0  # steps
        self.begun = self.spoke = time.monotonic()
        self.begun_at = 0

    def note(self, text: str) -> None:
        """Print one line."""
        self.spoke = time.monotonic()
        self.console.print(Text(text), soft_wrap=True)
        sys.stdout.flush()

    def waiting(self, text: str) -> None:
        """Say so now and then, so that a long wait does not look like a hang."""
        if time.monotonic() - self.spoke > REMIND_SECONDS:
            self.note(f"still {text}")

    def tick(self, running: Mapping[str, Path]) -> None:
        """Say now and then what the tasks do; `running` maps their names to their signs of life."""
        if time.monotonic() - self.spoke > REMIND_SECONDS:
            for name, progress in running.items():
                self.note(f"{name}: {doing(progress)}")

    def steps(self, done: int, total: int) -> None:
        """Remember how far a job of known length is."""
        if not self.total:
            self.begun, self.begun_at = time.monotonic(), done
        self.done, self.total = done, total

    def prepared(self, config: StudyConfig, facts: Facts, records: list[TrialRecord]) -> None:
        """Say what is searched, and on which pictures."""
        self.wanted, self.workers = config.trials, max(1, config.workers)
        self.records, self.members = records, front(records)
        height, width, channels = facts.shape
        size = "pictures of each network's side" if config.decodes_each else f"{height}x{width}x{channels}"
        what = f"{facts.stages[-1]} stages, {len(facts.stages)} blocks, weights {config.weights}"
        if config.is_hypermodel:
            what = "a HyperModel"
        self.note(
            f"study {config.study_name}: {config.backbone} ({what}) on {facts.dataset} "
            f"({len(facts.class_names)} classes, {size})"
        )
        if facts.skipped:
            self.note(f"left out: {facts.skipped} unreadable files")
        self.note(f"{facts.n_train} pictures to train on, {facts.n_val} to validate on; test: {facts.test_split}")
        sides = "" if config.is_hypermodel else f"resolutions {', '.join(map(str, facts.resolutions))} px; "
        self.note(f"{sides}{config.epochs} epochs a trial; device {facts.machine['device']}")
        runtime = facts.machine.get("latency_runtime", KERAS)
        if runtime != KERAS:
            self.note(f"latency: {runtimes.describe(runtime, facts.machine['latency_threads'])}")
        done = sum(record.counts for record in records)
        self.note(f"{done} of {config.trials} trials done" + (", continuing" if 0 < done < config.trials else ""))

    def told(self, record: TrialRecord, records: list[TrialRecord]) -> None:
        """Print the line of a trial that has ended."""
        self._take_in(record, records)
        self.note(self._line(record))

    def _take_in(self, record: TrialRecord, records: list[TrialRecord]) -> None:
        self.records = records
        if record.state == State.COMPLETE:  # no other one changes the front
            self.members = front(records)

    def close(self) -> None:
        """Nothing is left open."""
        pass

    def _line(self, record: TrialRecord) -> str:
        finished = sum(other.counts for other in self.records)
        text = f"[{finished}/{self.wanted}] trial {record.number} {numbers(record)}"
        if record.state == State.COMPLETE:
            on_front = any(member.number == record.number for member in self.members)
            text += f" | front {len(self.members)}{' (new member)' if on_front else ''}"
        left = time_left(self.records, self.wanted, self.workers)
        return text + (f" | {left} left" if left else "") + f" | {tables.describe(record.candidate)}"

    def _bar(self) -> tuple[int, int, str, str]:
        """(done, of how many, how far that is in words, time left) of the steps, or of the trials."""
        if self.total:
            made = self.done - self.begun_at
            pace = (time.monotonic() - self.begun) / made if made else 0.0
            left = in_words(pace * (self.total - self.done)) if made and self.done < self.total else ""
            return self.done, self.total, f"{self.done} of {self.total} done", left
        finished = sum(record.counts for record in self.records)
        left = time_left(self.records, self.wanted, self.workers)
        return finished, self.wanted, f"{finished} of {self.wanted} trials", left


class LiveDisplay(PlainDisplay):
    """The newest trials, what is being done now, how far it has come, and the front; redrawn in place."""

    def __init__(self) -> None:
        super().__init__()
        self.running: Mapping[str, Path] = {}
        self.status: Status | None = None
        self.live = Live(console=self.console, get_renderable=self._view, refresh_per_second=4, transient=True)

    def waiting(self, text: str) -> None:
        """Show a spinner beside the text."""
        if self.status is None:
            self.status = self.console.status(text)
            self.status.start()

    def steps(self, done: int, total: int) -> None:
        """Remember how far the job is, and show the bar."""
        super().steps(done, total)
        self._start()

    def prepared(self, config: StudyConfig, facts: Facts, records: list[TrialRecord]) -> None:
        """Say what is searched, then show the table that is renewed in place."""
        self._end_status()
        super().prepared(config, facts, records)
        self._start()

    def told(self, record: TrialRecord, records: list[TrialRecord]) -> None:
        """Take in a trial that has ended; the table shows it."""
        self._take_in(record, records)

    def tick(self, running: Mapping[str, Path]) -> None:
        """Take in what the tasks do; the table shows it."""
        self.running = running

    def close(self) -> None:
        """Give the terminal back."""
        self._end_status()
        self.live.stop()

    def _start(self) -> None:
        self._end_status()
        if not self.live.is_started:
            self.live.start()

    def _end_status(self) -> None:
        if self.status is not None:
            self.status.stop()
            self.status = None

    def _view(self) -> RenderableType:
        done, of, how_far, left = self._bar()
        bar = Table.grid(padding=(0, 1))
        bar.add_row(ProgressBar(of, done, width=24), how_far, f"{left} left" if left else "")
        now = [Text(f"{name}: {doing(progress)}") for name, progress in self.running.items()]
        return Group(*([] if self.total else self._trials()), *now, bar)

    def _trials(self) -> list[RenderableType]:
        chosen = {member.number for member in self.members}
        ended = [record for record in self.records if record.state not in (State.RUNNING, State.WAITING)]
        rows = [
            (
                str(record.number),
                "front" if record.number in chosen else "",
                *_cells(record),
                tables.describe(record.candidate),
            )
            for record in ended[-NEWEST:]
        ]
        return [
            on_terminal(of_texts("newest", "", LIVE_HEADS, rows, left=("", "parameters"))),
            Text(_grown(self.members)),
        ]


class NotebookDisplay(PlainDisplay):
    """One output of the cell, renewed in place: a bar, what is being done now, and the last lines.

    Plain HTML: it needs no extension of the notebook.
    """

    LINES = 6

    def __init__(self) -> None:
        super().__init__()
        from IPython.display import HTML, display

        self._html = HTML
        self._handle: Any = display(HTML(""), display_id=True)
        self._lines: list[str] = []
        self._now: list[str] = []
        self._drawn = 0.0

    def note(self, text: str) -> None:
        """Add a line; only the last ones stay."""
        self._lines.append(text)
        self._draw()

    def waiting(self, text: str) -> None:
        """Show what is being waited for."""
        self._now = [text]
        self._draw(rarely=True)

    def tick(self, running: Mapping[str, Path]) -> None:
        """Show what each task does."""
        self._now = [f"{name}: {doing(progress)}" for name, progress in running.items()]
        self._draw(rarely=True)

    def close(self) -> None:
        """Leave the lines without what was being done."""
        self._now = []
        self._draw()

    def _draw(self, rarely: bool = False) -> None:
        if rarely and time.monotonic() - self._drawn < 0.5:
            return
        self._drawn = time.monotonic()
        done, of, how_far, left = self._bar()
        bar = f'<progress value="{done}" max="{of}"></progress> {how_far}' if of else ""
        if left:
            bar += f", {left} left"
        lines = [*(html.escape(line) for line in [*self._lines[-self.LINES :], *self._now]), bar]
        self._handle.update(self._html("<br>".join(line for line in lines if line)))


def numbers(record: TrialRecord) -> str:
    """The three numbers of a finished trial, or why it has none."""
    if isinstance(record, CompleteTrial):
        return (
            f"val_accuracy {record.val_accuracy:.4f}, {tables.latency(record.measurement)} ms, "
            f"{record.measurement.flops / 1e6:.4g} MFLOPs, {record.seconds:.1f} s"
        )
    reason = tables.why(record)
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
        tables.latency(record.measurement),
        f"{record.measurement.flops / 1e6:.4g}",
        f"{record.seconds:.1f}",
    )


def _grown(members: Sequence[CompleteTrial]) -> str:
    text = f"front: {len(members)} member{'s' * (len(members) != 1)}"
    best = max((member.val_accuracy for member in members), default=None)
    return text if best is None else f"{text}, best val_accuracy {best:.4f}"


def doing(progress: Path) -> str:
    """What a task does now, from its signs of life."""
    sign = last_sign(progress)
    if sign is None:
        return "ending"
    silence = silent_for(progress)
    return str(sign) + (f", silent for {silence:.0f} s" if silence > SILENT_SECONDS else "")


def time_left(records: Sequence[TrialRecord], wanted: int, workers: int) -> str:
    """From the mean duration of the trials so far: `4 min`; empty while there is nothing to go by."""
    durations = [record.seconds for record in records if record.counts and record.seconds > 0]
    missing = wanted - sum(record.counts for record in records)
    return in_words(statistics.fmean(durations) * missing / workers) if durations and missing > 0 else ""


def in_words(seconds: float) -> str:
    """`about 4 min`."""
    if seconds < 90:
        return f"about {seconds:.0f} s"
    return f"about {seconds / 60:.0f} min" if seconds < 5400 else f"about {seconds / 3600:.1f} h"
