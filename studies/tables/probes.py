"""Maps as rows: for the terminal, CSV and JSON."""

from collections.abc import Sequence
from typing import Any

from studies.objectives import FLOPS, LATENCY
from studies.probes import PROBE, Map, Probe, front, interval
from studies.tables import table
from studies.tables.trials import count

COLUMNS = (
    "state", "on_front", "backbone", "resolution", "keep_blocks", "blocks", "val_accuracy", "val_accuracy_low",
    "val_accuracy_high", "latency_ms", "latency_low_ms", "latency_high_ms", "latency_measured_in", "flops", "macs",
    "parameters", "channels", "strength", "n_train", "n_val",
)  # fmt: skip


METHOD = (
    "Each line is a frozen network that ends with one of its blocks, with a linear classifier on its pooled features "
    "(ridge, in closed form). Training its upper stages makes it better; which places are worth that is what the "
    "front shows. Latencies that differ by no more than their uncertainty are equal."
)


def kept(probe: Probe) -> str:
    """How much of the network there is: `the first 12 of 18 blocks`, or `all 18 blocks`."""
    return f"the first {probe.kept} of {probe.blocks} blocks" if probe.keep_blocks else f"all {probe.blocks} blocks"


def describe(probe: Probe) -> str:
    """A probe in one line."""
    costs = f"{FLOPS.say(probe.flops)}, {LATENCY.say(probe.latency_ms)}"
    return f"val_accuracy {probe.val_accuracy:.3f} with {kept(probe)} of {probe.backbone} frozen, {costs}"


def rows(maps: Sequence[Map]) -> list[dict[str, Any]]:
    """One flat row for each probe, with the keys of `COLUMNS`; the front is that of all maps."""
    members = front([probe for one in maps for probe in one.probes])
    return [_row(probe, one, probe in members) for one in maps for probe in one.probes]


def to_csv(maps: Sequence[Map]) -> str:
    """All probes, with a line of column names."""
    return table.records_to_csv(rows(maps), COLUMNS)


def front_table(maps: Sequence[Map]) -> table.Table:
    """The front over all maps, from the fewest FLOPs on."""
    several = len(maps) > 1
    sizes = {one.backbone: one.n_val for one in maps}
    members = front([probe for one in maps for probe in one.probes])
    heads = [*(["backbone"] if several else []), "px", "blocks kept", "val_accuracy (95 %)", "MFLOPs"]
    heads += ["latency ms (uncertainty)", "weights"]
    columns = tuple(table.Column(head, numeric=head != "backbone") for head in heads)
    cells = []
    for probe in members:
        low, high = interval(probe, sizes[probe.backbone])
        latency = probe.measurement.latency
        cells.append(
            (
                *([probe.backbone] if several else []),
                str(probe.resolution),
                f"{probe.kept} of {probe.blocks}",
                f"{probe.val_accuracy:.3f} ({low:.3f}-{high:.3f})",
                f"{FLOPS.shown(probe.flops):.4g}",
                f"{probe.latency_ms:.3g} ({latency.low:.3g}-{latency.high:.3g})",
                count(probe.measurement.parameters),
            )
        )
    return table.Table("map", title(maps, len(members)), columns, tuple(cells))


def title(maps: Sequence[Map], members: int) -> str:
    """What the table is of."""
    places = sum(len(one.probes) for one in maps)
    where = "; ".join(dict.fromkeys(p.measurement.latency.measured_in for one in maps for p in one.probes))
    return f"Map: the {members} of {places} frozen places that no other one beats; latency: {where}"


def subset(one: Map) -> str:
    """Which pictures probes were fitted and measured on, where those are not all: for a sentence; else empty."""
    if (one.n_train, one.n_val) == (one.of_train, one.of_val):
        return ""
    return (
        f"{one.backbone}: probes were fitted on {one.n_train:,} of {one.of_train:,} training pictures and measured on "
        f"{one.n_val:,} of {one.of_val:,} validation pictures, stratified subsets"
    )


def _row(probe: Probe, one: Map, on_front: bool) -> dict[str, Any]:
    low, high = interval(probe, one.n_val)
    latency = probe.measurement.latency
    return {
        "state": PROBE,
        "on_front": on_front,
        "backbone": probe.backbone,
        "resolution": probe.resolution,
        "keep_blocks": probe.kept,
        "blocks": probe.blocks,
        "val_accuracy": probe.val_accuracy,
        "val_accuracy_low": low,
        "val_accuracy_high": high,
        "latency_ms": probe.latency_ms,
        "latency_low_ms": latency.low,
        "latency_high_ms": latency.high,
        "latency_measured_in": latency.measured_in,
        "flops": probe.flops,
        "macs": probe.measurement.macs,
        "parameters": probe.measurement.parameters,
        "channels": probe.channels,
        "strength": probe.strength,
        "n_train": one.n_train,
        "n_val": one.n_val,
    }
