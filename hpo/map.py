"""`python -m hpo.map`: which network, how much of it and at which resolution, before any training."""

from typing import Any

import click

from hpo.config import make_config
from hpo.terminal.command import DONE, GroupedCommand, field_option
from models.own.registry import named

# What a map depends on, and where it lies; what is searched and how it is trained does not matter.
FIELDS = (
    "backbone", "dataset", "data_dir", "skip_unreadable", "follow_links", "weights", "train_size", "val_size",
    "resolutions", "map_size", "seed", "out", "cache_dir", "cache_gib", "cache_dtype", "workers", "device",
    "latency_runtime", "latency_threads", "stall_timeout",
)  # fmt: skip
EPILOG = """\b
Exit codes: 0 done; 1 a map could not be made; 2 bad input; 3 a folder cannot be written to;
130 interrupted (the same command continues)."""


def _fields(function: Any) -> Any:
    for name in reversed(FIELDS):
        function = field_option(name)(function)
    return function


@click.command(cls=GroupedCommand, epilog=EPILOG, context_settings={"max_content_width": 110})
@_fields
def main(**options: Any) -> int:
    """Map a network, or several separated by commas: how well does each frozen place do at each side?

    A linear classifier is fitted in closed form on what comes out at the end of each block, at each resolution, in one
    pass over the pictures: its validation accuracy beside FLOPs and latency says how much of the network is needed, in
    minutes. The folder of results has a table and pictures; a search with `hpo.run` begins with what is found here.
    """
    from hpo.study import map_networks
    from hpo.terminal.tables import show_map

    given = {name: value for name, value in options.items() if value is not None}
    names = [part.strip() for part in str(given.pop("backbone", "")).split(",") if part.strip()]
    configs = [
        make_config({**given, **({"backbone": named(name)} if name else {}), "keep": "search"})
        for name in dict.fromkeys(names or [""])
    ]
    mapped = map_networks(configs, progress=True)
    show_map(mapped.maps)
    click.echo(f"\nFiles in {mapped.folder}:")
    for path in mapped.files:
        click.echo(f"  {path.name}")
    return DONE


if __name__ == "__main__":
    main()
