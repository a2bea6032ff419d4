"""What does fine-tuning make up for where a network ends earlier than its frozen features ask for?

    PYTHONPATH=. python benchmarks/first_ends.py --data-dir DATA

Two stages are fine-tuned in the usual way (`hpo.search.seeding`) at several ends of a network and at the one that a
study begins with. For each end: FLOPs, frozen and fine-tuned accuracy, and the share of what it lacks while frozen
that fine-tuning makes up for; last their median, and the share of all lacks together. `hpo.search.planning` believes
in such a share before the first trials.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

from first_rates import CASES

import hpo.worker.training
from hpo.config import make_config
from hpo.search.seeding import DEPTH, usual_way
from hpo.search.space import make_space
from hpo.worker.job import Job
from hpo.worker.mapping import probe_side
from hpo.worker.session import current, prepare

# By case and side in pixels: kept blocks, those that a study begins with last.
ENDS = {
    ("v2-cifar10", 64): (7, 11, 13, 14),
    ("v2-cifar10", 48): (7, 11, 14),
    ("v1-cats", 96): (9, 11, 12, 13),
    ("v1-cats", 128): (9, 10, 11, 12),
}


def main() -> None:
    """All of them, with seed 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    given = parser.parse_args()
    lacks = []
    with tempfile.TemporaryDirectory() as folder:
        for (name, side), kept in ENDS.items():
            backbone, data, train, val = CASES[name]
            dataset = str(given.data_dir / data) if (given.data_dir / data).is_dir() else data
            values = {"backbone": backbone, "dataset": dataset, "train_size": train, "val_size": val}
            places = {"cache_dir": f"{folder}/cache", "out": f"{folder}/runs", "data_dir": given.data_dir}
            found = fine_tuned(make_config(values | places), side, kept)
            best_frozen, best_tuned = found[-1][1:]
            print(f"{name}, {side} px")
            for blocks, (mflops, frozen, tuned) in zip(kept, found, strict=True):
                line = f"    {blocks:3} blocks, {mflops:5.2f} MFLOPs: {frozen:.3f} -> {tuned:.3f}"
                if blocks != kept[-1]:
                    lacks.append((best_frozen - frozen, best_tuned - tuned))
                    line += f", made up {1 - lacks[-1][1] / lacks[-1][0]:.2f}"
                print(line, flush=True)
    median = statistics.median(1 - after / before for before, after in lacks)
    together = 1 - sum(after for _, after in lacks) / sum(before for before, _ in lacks)
    print(f"made up of {len(lacks)} lacks: median {median:.2f}, of all together {together:.2f}")


def fine_tuned(config, side, kept) -> list[tuple[float, float, float]]:
    """MFLOPs, frozen and best fine-tuned accuracy at each end."""
    facts = prepare(config)
    space = make_space(config, facts.stages, facts.resolutions)
    probes = {probe.kept: probe for probe in probe_side(config, facts, side)}
    rows = []
    for probe in (probes[blocks] for blocks in kept):
        candidate = usual_way(probe, min(DEPTH, space.stages_of(probe.keep_blocks)), space)
        job = Job(config, "id", 0, candidate, facts, config.out / "trials")
        (learned,) = hpo.worker.training.learn([job], [None], config.epochs, lambda sign: None, current())
        rows.append((probe.flops / 1e6, probe.val_accuracy, max(point.val_accuracy for point in learned.curve)))
    return rows


if __name__ == "__main__":
    main()
