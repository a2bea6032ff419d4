"""What is a network of your own? `python -m models.check my_package.my_module:build`.

Prints on one page what was found: blocks, stages, FLOPs, parameters, weights, and what does not work and why. Imports
the code that is named, and no other.
"""

from __future__ import annotations

import sys
from typing import Any

import hpo  # noqa: F401 (looks first whether these packages are ours)

# isort: split

import click

from models.command import OneLineCommand
from models.own.reference import parse
from models.own.registry import named, own_of
from models.quiet import quiet_import

UNFIT = 1  # exit code


@click.command(cls=OneLineCommand, epilog="Exit codes: 0 it keeps the contract; 1 it does not; 2 bad input.")
@click.argument("network", metavar="NETWORK")
@click.option("--resolution", type=click.IntRange(1, 4096), default=224, show_default=True, metavar="PIXELS",
              help="Side of the pictures that it is told of")  # fmt: skip
def command(network: str, resolution: int) -> int:
    """Look at a network: my_package.my_module:build, path/file.py:build, path/file.keras, or keras_hub:PRESET.

    The function takes the shape of a picture, (height, width, 3), and returns a functional keras.Model without its top:
    from pictures to a feature map. A function `preprocess` beside it prepares them, RGB from 0 to 255; the numbers
    `min_resolution` and `native_resolution` are the smallest side in pixels and that of its weights. The top of a saved
    model is cut off.
    """
    name = named(str(parse(network)))
    with quiet_import():
        import keras  # noqa: F401

    from models.own.contract import SIDES, examine

    found = examine(own_of(name), tuple(dict.fromkeys((resolution, *SIDES))))
    _print(found)
    return UNFIT if found.problems else 0


def _print(found: Any) -> None:
    """The page."""
    from rich.console import Console

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160, markup=False)
    console.print(f"{found.name}, pictures of {found.side} x {found.side} pixels\n")
    flops = "unknown" if found.flops is None else f"{found.flops / 1e6:,.2f} M (2 for each multiply-accumulate)"
    litert = f"cannot be converted: {found.runtime}" if found.runtime else "can be converted"
    rows = {
        "parameters": f"{found.parameters:,}",
        "FLOPs": flops,
        "weights": found.weights,
        "LiteRT": litert,
        "stages": ", ".join(f"{layer} ({f'{side} px' if side else 'tokens'})" for layer, side in found.stages)
        or "none",
    }
    for label, words in rows.items():
        console.print(f"{label:<12}{words}")
    if found.blocks:
        console.print()
        console.print(_blocks(found))
    console.print()
    for problem in found.problems:
        console.print(f"problem: {problem}")
    console.print(f"{found.name} {'does not keep' if found.problems else 'keeps'} the contract of a backbone")


def _blocks(found: Any) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("blocks kept", "the last layer", "comes out", "MFLOPs", "share"):
        table.add_column(column, justify="left" if column == "the last layer" else "right", no_wrap=True)
    for number, block in enumerate(found.blocks, start=1):
        shape = " x ".join(map(str, block.shape))
        costs = ("", "") if block.flops is None else (f"{block.flops / 1e6:.2f}", f"{block.flops / found.flops:.0%}")
        table.add_row(str(number), block.layer, shape, *costs)
    return table


if __name__ == "__main__":
    command()
