"""What a backbone costs: `python -m models.profile --backbone vgg19 --resolution 224`.

Prints parameters, MACs and FLOPs by layer kind, and latency with its spread on this machine. `--json` prints one
object instead. Arguments are checked before Keras is imported, so a wrong one costs no time.
"""

from __future__ import annotations

import json
import math
import sys
from typing import Any

import click

import hpo  # noqa: F401 (looks first whether these packages are ours)
from models import ModelError
from models.backbones import Backbone, features, get_backbone, with_top
from models.command import OneLineCommand
from models.quiet import quiet_import

MAX_RESOLUTION = 4096
MAX_BATCH = 4096


@click.command(cls=OneLineCommand, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--backbone", "name", metavar="NAME", help="Which network; see hpo-run --list-backbones.")
@click.option("--resolution", type=int, metavar="PIXELS", help="Side of the square pictures. Default: its native one.")
@click.option("--no-top", is_flag=True, help="Without the ImageNet classifier: the part that transfer learning keeps.")
@click.option("--batch-size", type=int, default=1, show_default=True, metavar="N", help="Pictures in one call.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def command(name: str | None, resolution: int | None, no_top: bool, batch_size: int, as_json: bool) -> None:
    """Parameters, FLOPs and latency of one backbone on this machine."""
    backbone = _checked(name, resolution, batch_size)
    report = profile(backbone, resolution or backbone.native_resolution, not no_top, batch_size)
    if as_json:
        print(json.dumps(report))
    else:
        _print_report(report)


def profile(backbone: Backbone, resolution: int, top: bool = True, batch_size: int = 1) -> dict[str, Any]:
    """Builds the network with random weights, counts and measures it.

    Returns:
        What `--json` prints: latency in ms for a batch, all else for one picture.
    """
    with quiet_import():
        import keras

    from models.flops import count
    from models.latency.call import machine_facts, measure

    if top:
        model = with_top(backbone, resolution)
    else:
        inputs = keras.Input((resolution, resolution, 3), name="pictures")
        model = keras.Model(inputs, features(backbone, inputs), name=backbone.name)
    flops = count(model)
    latency = measure(model, batch_size)
    return {
        "backbone": backbone.name,
        "resolution": resolution,
        "top": top,
        "parameters": model.count_params(),
        "trainable_parameters": sum(math.prod(weight.shape) for weight in model.trainable_weights),
        "macs": flops.macs,
        "flops": flops.flops,
        "other_flops": flops.other_flops,
        "flops_by_kind": flops.by_kind,
        "batch_size": batch_size,
        "latency_ms": {
            "median": latency.median_ms,
            "p10": latency.p10_ms,
            "p90": latency.p90_ms,
            "p99": latency.p99_ms,
            "runs": latency.runs,
        },
        **machine_facts(),
    }


def _checked(name: str | None, resolution: int | None, batch_size: int) -> Backbone:
    if name is None:
        raise ModelError("--backbone is missing. Received: nothing. Allowed: a name from hpo-run --list-backbones")
    try:
        backbone = get_backbone(name)
    except ModelError as error:
        raise ModelError(f"--{error}") from error
    least = backbone.min_resolution
    if resolution is not None and not least <= resolution <= MAX_RESOLUTION:
        allowed = f"{least} to {MAX_RESOLUTION} for {name}"
        raise ModelError(f"--resolution is out of range. Received: {resolution}. Allowed: {allowed}")
    if not 1 <= batch_size <= MAX_BATCH:
        raise ModelError(f"--batch-size is out of range. Received: {batch_size}. Allowed: 1 to {MAX_BATCH}")
    return backbone


def _console() -> Any:
    from rich.console import Console

    # Piped, the width of a terminal means nothing: no wrapping.
    return Console(highlight=False, width=None if sys.stdout.isatty() else 160)


def _table(*columns: str) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    return table


def _print_report(report: dict[str, Any]) -> None:
    console = _console()
    pixels = f"{report['resolution']} x {report['resolution']} pixels"
    console.print(f"{report['backbone']}, {pixels}, {'with' if report['top'] else 'without'} top\n")
    for label, key in (("parameters", "parameters"), ("trainable", "trainable_parameters")):
        console.print(f"{label:<12}{report[key]:>18,}")
    for label, key in (("MACs", "macs"), ("FLOPs", "flops"), ("other FLOPs", "other_flops")):
        console.print(f"{label:<12}{report[key]:>18,}{report[key] / 1e9:>12.4f} G")
    table = _table("layer kind", "MACs", "FLOPs", "share")
    kinds = report["flops_by_kind"]
    total = sum(cost["flops"] for cost in kinds.values())
    for kind, cost in sorted(kinds.items(), key=lambda item: -item[1]["flops"]):
        table.add_row(kind, f"{cost['macs']:,}", f"{cost['flops']:,}", f"{cost['flops'] / total:.1%}")
    table.add_section()
    table.add_row("all", f"{report['macs']:,}", f"{total:,}", "100.0%")
    console.print(table)
    latency = report["latency_ms"]
    spread = ", ".join(f"{key} {latency[key]:.2f}" for key in ("p10", "p90", "p99"))
    batch = f"batch {report['batch_size']}"
    console.print(f"latency     {latency['median']:.2f} ms median of {latency['runs']} runs, {batch} ({spread})")
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    console.print(f"device      {report['device']} ({report['backend']}, {report['dtype']})\nversions    {versions}")


if __name__ == "__main__":
    command()
