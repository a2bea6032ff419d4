"""With which learning rate should a study begin to fine-tune? Several, side by side.

    PYTHONPATH=. python benchmarks/first_rates.py --data-dir DATA [--cases v2-cats,v1-cats,v2-cifar10] [--seeds 1]

What a study fine-tunes first (`hpo.search.seeding`): for each side the network that ends as early as its frozen
accuracy allows, and all of it at the largest side, two stages free, for the usual number of epochs. Only the rate
differs. Printed are the frozen accuracy, and for each rate, the usual one first, the best validation accuracy and those
of all epochs.
"""

import argparse
import dataclasses
import tempfile
from pathlib import Path

import hpo.worker.training
from hpo.config import make_config
from hpo.search.seeding import DEPTH, usual_way
from hpo.search.space import make_space
from hpo.worker.job import Job
from hpo.worker.mapping import probe_side
from hpo.worker.session import current, prepare
from studies.probes import enough

CASES = {
    "v2-cats": ("mobilenet_v2_0.35", "cats_vs_dogs", 1600, 400),
    "v1-cats": ("mobilenet_0.25", "cats_vs_dogs", 1600, 400),
    "v2-cifar10": ("mobilenet_v2_0.35", "cifar10", 4000, 1000),
}
RATES = (3e-5, 1e-4, 3e-4, 1e-3)


def main() -> None:
    """Each case with each rate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--rates", default=",".join(map(str, RATES)))
    given = parser.parse_args()
    for name in given.cases.split(","):
        backbone, data, train, val = CASES[name]
        folder = given.data_dir / data
        dataset = str(folder) if folder.is_dir() else data
        with tempfile.TemporaryDirectory() as kept:
            for seed in range(given.seeds):
                values = {"backbone": backbone, "dataset": dataset, "train_size": train, "val_size": val, "seed": seed}
                places = {"cache_dir": Path(kept) / "cache", "out": Path(kept) / "runs"}
                config = make_config({**values, **places, "data_dir": given.data_dir})
                compare(name, config, [float(rate) for rate in given.rates.split(",")])


def compare(name, config, rates) -> None:
    """One case with one seed."""
    facts = prepare(config)
    space = make_space(config, facts.stages, facts.resolutions)
    probes = [probe for side in facts.resolutions for probe in probe_side(config, facts, side)]
    chosen = [*enough(probes, facts.n_val).values(), max(probes, key=lambda one: (one.resolution, one.kept))]
    for probe in dict.fromkeys(chosen):
        usual = usual_way(probe, min(DEPTH, space.stages_of(probe.keep_blocks)), space)
        where = f"{probe.resolution} px, {probe.kept} of {probe.blocks} blocks, frozen {probe.val_accuracy:.3f}"
        print(f"{name}, seed {config.seed}: {where}")
        for rate in (usual.learning_rate, *rates):
            candidate = dataclasses.replace(usual, learning_rate=rate)
            job = Job(config, "id", 0, candidate, facts, config.out / "trials")
            (learned,) = hpo.worker.training.learn([job], [None], config.epochs, lambda sign: None, current())
            curve = [point.val_accuracy for point in learned.curve]
            print(f"    {rate:7.0e}: {max(curve):.3f}  ({' '.join(f'{one:.3f}' for one in curve)})", flush=True)


if __name__ == "__main__":
    main()
