"""What a backbone costs: `python -m models.profile --backbone vgg19 --resolution 224`.

Prints parameters, MACs and FLOPs by layer kind, and latency with its spread on this machine, in the runtime that is
chosen. `--all-runtimes` prints a table of all that are installed. `--json` prints one object instead. Arguments are
checked before Keras is imported, so a wrong one costs no time.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import hpo  # noqa: F401 (looks first whether these packages are ours)

# isort: split

import click

from models import ModelError
from models.backbones import get_backbone, sides_of, with_top, without_top
from models.catalogue import Description
from models.command import OneLineCommand
from models.latency.runtimes import AUTO, KERAS, MOST_THREADS, RUNTIMES, describe, resolve
from models.own.registry import named
from models.quiet import quiet_import

MAX_RESOLUTION = 4096
MAX_BATCH = 4096


@click.command(cls=OneLineCommand)
@click.option(
    "--backbone",
    "name",
    metavar="NAME",
    help="Which network; see hpo-run --list-backbones, or path/file.py:build of your own.",
)
@click.option("--resolution", type=int, metavar="PIXELS", help="Side of the square pictures. Default: its native one.")
@click.option("--no-top", is_flag=True, help="Without the ImageNet classifier: the part that transfer learning keeps.")
@click.option("--batch-size", type=int, default=1, show_default=True, metavar="N", help="Pictures in one call.")
@click.option("--latency-runtime", "runtime", type=click.Choice([AUTO, *RUNTIMES]), default=AUTO, show_default=True,
              help="What runs the network; auto: LiteRT on a CPU and for one picture, else Keras.")  # fmt: skip
@click.option("--latency-threads", "threads", type=click.IntRange(1, MOST_THREADS), default=1, show_default=True,
              help="Threads of LiteRT or ONNX Runtime.")  # fmt: skip
@click.option("--all-runtimes", is_flag=True, help="Latency in each runtime that is installed.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def command(
    name: str | None,
    resolution: int | None,
    no_top: bool,
    batch_size: int,
    runtime: str,
    threads: int,
    all_runtimes: bool,
    as_json: bool,
) -> None:
    """Parameters, FLOPs and latency of one backbone on this machine."""
    backbone = _checked(name, resolution, batch_size)
    if batch_size > 1 and (runtime not in (AUTO, KERAS) or all_runtimes):
        raise ModelError(f"--batch-size must be 1 but with --latency-runtime keras. Received: {batch_size}")
    if batch_size > 1:
        runtime = KERAS
    runtimes = [each for each, row in RUNTIMES.items() if row.installed] if all_runtimes else [runtime]
    report = profile(backbone, resolution or backbone.native_resolution, not no_top, batch_size, runtimes, threads)
    if as_json:
        print(json.dumps(report))
    else:
        _print_report(report)


def profile(
    backbone: Description,
    resolution: int,
    top: bool = True,
    batch_size: int = 1,
    runtimes: Sequence[str] = (AUTO,),
    threads: int = 1,
) -> dict[str, Any]:
    """Builds the network with random weights, counts and measures it.

    Args:
        backbone: which network.
        resolution: side in pixels.
        top: with its classifier.
        batch_size: pictures in one call; above 1 only with the runtime keras.
        runtimes: names, see `models.latency.runtimes.RUNTIMES`, or auto.
        threads: of the runtimes other than keras.

    Returns:
        What `--json` prints: latency in ms for a batch, all else for one picture; `latency_ms` is that of the first
        runtime.

    Raises:
        ModelError: a runtime is not installed, or cannot run the network.
    """
    with quiet_import():
        import keras  # noqa: F401

    from models.device import sees_gpu
    from models.flops import count
    from models.latency.call import machine_facts

    chosen = [resolve(name, sees_gpu()) for name in runtimes]
    model = (with_top if top else without_top)(backbone, resolution)
    flops = count(model)
    latencies = {name: _latency(model, batch_size, (backbone.name, resolution, top), name, threads) for name in chosen}
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
        "latency_ms": latencies[chosen[0]],
        "latency_ms_by_runtime": latencies,
        **machine_facts(),
    }


def _latency(model: Any, batch_size: int, network: tuple[str, int, bool], runtime: str, threads: int) -> dict[str, Any]:
    """In one runtime: the number of record, and how far runs spread; `network` is what `Converter.backbone` takes."""
    from models.latency import call, deployed
    from models.latency.conversion import Converter

    if runtime == KERAS:
        measured = call.measure(model, batch_size)
        number: dict[str, Any] = {"record": measured.median_ms, "protocol": call.protocol(), "threads": None}
    else:
        with tempfile.TemporaryDirectory(prefix="keras-hpo-") as folder, Converter(runtime) as converter:
            path = Path(folder) / "model"
            converter.backbone(*network, path)
            (timed,) = deployed.measure_files([path], runtime, threads)
        measured = timed
        number = {"record": timed.ms, "protocol": deployed.PROTOCOL, "threads": threads, "high": timed.high_ms}
    spread = {"p10": measured.p10_ms, "median": measured.median_ms, "p90": measured.p90_ms, "p99": measured.p99_ms}
    return {**number, **spread, "runs": measured.runs, "runtime": runtime, "measured_by": measured.backend}


def _checked(name: str | None, resolution: int | None, batch_size: int) -> Description:
    if name is None:
        raise ModelError("--backbone is missing. Received: nothing. Allowed: a name from hpo-run --list-backbones")
    name = named(name)
    try:
        backbone = get_backbone(name)
    except ModelError as error:
        raise ModelError(f"--{error}") from error
    if backbone.is_own:
        with quiet_import():
            least, native = sides_of(backbone)
        backbone = replace(backbone, min_resolution=least, native_resolution=native)
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
    _print_latency(console, report)
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    console.print(f"device      {report['device']} ({report['backend']}, {report['dtype']})\nversions    {versions}")


def _print_latency(console: Any, report: dict[str, Any]) -> None:
    """A line for one runtime, a table for several."""
    measured = report["latency_ms_by_runtime"]
    if len(measured) == 1:
        ((name, latency),) = measured.items()
        where = describe(name, latency["threads"] or 1)
        spread = ", ".join(f"{key} {latency[key]:.3g}" for key in ("p10", "median", "p90", "p99"))
        unsure = f" (± {latency['high'] - latency['record']:.2g})" if "high" in latency else ""
        console.print(f"latency     {latency['record']:.3g} ms{unsure}, {where}, batch {report['batch_size']}")
        console.print(f"runs        {latency['runs']} ({spread} ms)")
        return
    table = _table("runtime", "latency ms", "p10", "median", "p90", "p99", "runs")
    for name, latency in sorted(measured.items(), key=lambda item: item[1]["record"]):
        cells = [f"{latency[key]:.3g}" for key in ("record", "p10", "median", "p90", "p99")]
        table.add_row(describe(name, latency["threads"] or 1), *cells, f"{latency['runs']:,}")
    console.print(table)


if __name__ == "__main__":
    command()
