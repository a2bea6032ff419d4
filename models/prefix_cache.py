"""What studies keep behind frozen layers.

python -m models.prefix_cache list
python -m models.prefix_cache clear
"""

import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import click

import hpo  # noqa: F401 (looks first whether these packages are ours)
from models import ModelError
from models.command import OneLineCommand
from models.reuse.activations import ActivationStore
from models.reuse.store import Entry, mib

# title of a column -> name in the key of an entry
_COLUMNS = {
    "backbone": "backbone",
    "cut": "cut",
    "pixels": "resolution",
    "data set": "dataset",
    "split": "split",
    "view": "view",
    "dtype": "dtype",
}


def _print_list(entries: Sequence[Entry], cache_dir: Path) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    if not entries:
        click.echo(f"no activations are kept in {cache_dir}")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in (*_COLUMNS, "shape", "MiB", "last use"):
        table.add_column(title, justify="right" if title in ("pixels", "shape", "MiB") else "left")
    for entry in entries:
        words = ["(damaged)", *[""] * len(_COLUMNS)]
        if entry.key is not None:
            words = [str(entry.key.get(name, ""))[: 12 if name == "dataset" else None] for name in _COLUMNS.values()]
            words.append(" x ".join(map(str, entry.shape)))
        last_use = datetime.fromtimestamp(entry.last_used).astimezone().isoformat(timespec="seconds")
        table.add_row(*words, f"{entry.bytes / 2**20:,.1f}", last_use)
    # Piped, the width of a terminal means nothing: no wrapping. Names are shown as they are, brackets too.
    console = Console(highlight=False, markup=False, emoji=False, width=None if sys.stdout.isatty() else 500)
    console.print(table)
    noun = "entry" if len(entries) == 1 else "entries"
    click.echo(f"{len(entries)} {noun}, {mib(sum(entry.bytes for entry in entries))} in {cache_dir}")


@click.command(cls=OneLineCommand, context_settings={"show_default": True})
@click.argument("action", type=click.Choice(["list", "clear"]))
@click.option(
    "--cache-dir",
    default="~/.cache/keras-hpo",
    envvar="HPO_CACHE_DIR",
    show_envvar=True,
    metavar="FOLDER",
    callback=lambda _ctx, _param, value: Path(value).expanduser(),
    help="the folder that was given to hpo-run",
)
def command(action: str, cache_dir: Path) -> None:
    """List or clear the activations that studies keep behind frozen layers.

    list shows each entry, the least recently used first: that one goes first when --cache-gib is reached. clear deletes
    all but what is being written at this moment; running studies compute again what they still need.
    """
    store = ActivationStore(cache_dir, limit_bytes=0).files
    try:
        if action == "list":
            _print_list(store.entries(), cache_dir)
        else:
            click.echo(f"{mib(store.clear())} freed in {cache_dir}")
    except OSError as error:
        raise ModelError(f"the cache folder {cache_dir} cannot be used: {error.strerror or error}") from error


if __name__ == "__main__":
    command()
