"""Who is told what happens: nobody but the logger "hpo", or a display."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Progress = bool | Any  # whether to show what is being done; or a display that does
_log = logging.getLogger("hpo")


@contextmanager
def watching(progress: Progress) -> Iterator[Any]:
    """A display as `hpo.search.loop.Display` and `hpo.worker.executor.StepWatcher` want it."""
    if progress is False:
        yield LoggedDisplay()
        return
    if progress is not True:
        yield progress  # whoever made it closes it
        return
    from hpo.terminal.display import make_display  # Rich is not needed by those who want silence

    display = make_display()
    try:
        yield display
    finally:
        display.close()


class LoggedDisplay:
    """Tells nobody but the log: one record for each event."""

    def note(self, text: str) -> None:
        """Log a line."""
        _log.info("%s", text)

    def waiting(self, text: str) -> None:
        """Not logged: nothing has happened."""
        pass

    def tick(self, running: Mapping[str, Path]) -> None:
        """Not logged: nothing has happened."""
        pass

    def steps(self, done: int, total: int) -> None:
        """Not logged: each step has a line of its own."""
        pass

    def prepared(self, config: Any, facts: Any, records: Any) -> None:
        """Log how many trials the study has."""
        _log.info("study %s: %d trials so far", config.study_name, sum(record.counts for record in records))

    def told(self, record: Any, _records: Any) -> None:
        """Log how a trial ended."""
        _log.info("trial %d: %s", record.number, record.state)

    def close(self) -> None:
        """Nothing is left open."""
        pass
