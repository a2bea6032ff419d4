"""Is a network better cut off before the projection of its last block than behind it?

    PYTHONPATH=. python benchmarks/inner_ends.py --data-dir DATA [--seeds 3]

mobilenet_v2_0.35 on copies of CIFAR-10 (4,000 + 1,000 pictures), 8 epochs. For places of the network and both rules:
MFLOPs and validation accuracy of the frozen network with a probe, of a head that begins with it, with dropout of 0.2
and without, and with two stages fine-tuned in the usual way (`hpo.search.seeding`). Prints medians over seeds.
"""

import argparse
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import hpo.worker.training
from hpo.config import make_config
from hpo.search.seeding import DEPTH, usual_way
from hpo.search.space import make_space
from hpo.worker.job import Job
from hpo.worker.mapping import probe_side
from hpo.worker.session import current, prepare
from models import blocks

PLACES = {32: (2, 7, 9, 11, 12), 48: (7, 12, 14), 64: (8, 12, 13, 14)}  # kept blocks by side in pixels
COLUMNS = ("MFLOPs", "probe", "head, dropout 0.2", "head", "fine-tuned")


@contextmanager
def ends(before: bool) -> Iterator[None]:
    """Networks end before projections, as they do, or behind their blocks."""
    kept = blocks._before_projection
    if not before:
        blocks._before_projection = lambda closed, *_: closed
    try:
        yield
    finally:
        blocks._before_projection = kept


def main() -> None:
    """A line for each place and rule."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    print("     place        ", *(f"{name:>17}" for name in COLUMNS))
    for side, kept in PLACES.items():
        rows: dict[tuple[int, bool], list[list[float]]] = {}
        for before in (False, True):
            for seed in range(given.seeds):
                with ends(before), tempfile.TemporaryDirectory() as folder:
                    for number, row in zip(kept, measured(given.data_dir, Path(folder), side, kept, seed), strict=True):
                        rows.setdefault((number, before), []).append(row)
        for (number, before), found in sorted(rows.items()):
            medians = (statistics.median(column) for column in zip(*found, strict=True))
            where = f"{side} px {number:3} {'before' if before else 'behind'}"
            print(f"{where:19}", *(f"{value:17.3f}" for value in medians), flush=True)


def measured(data_dir: Path, folder: Path, side: int, kept: tuple[int, ...], seed: int) -> list[list[float]]:
    """`COLUMNS` for each place."""
    values = {"backbone": "mobilenet_v2_0.35", "dataset": "cifar10", "train_size": 4000, "val_size": 1000, "seed": seed}
    config = make_config({**values, "cache_dir": folder / "cache", "out": folder / "runs", "data_dir": data_dir})
    current().forget()
    facts = prepare(config)
    space = make_space(config, facts.stages, facts.resolutions)
    probes = {probe.kept: probe for probe in probe_side(config, facts, side)}
    rows = []
    for probe in (probes[number] for number in kept):
        head = usual_way(probe, 0, space)
        tail = usual_way(probe, min(DEPTH, space.stages_of(probe.keep_blocks)), space)
        row = [probe.flops / 1e6, probe.val_accuracy]
        for candidate in (replace(head, dropout=0.2), head, tail):
            job = Job(config, "id", 0, candidate, facts, config.out / "trials")
            (learned,) = hpo.worker.training.learn([job], [None], config.epochs, lambda sign: None, current())
            row.append(max(point.val_accuracy for point in learned.curve))
        rows.append(row)
    return rows


if __name__ == "__main__":
    main()
