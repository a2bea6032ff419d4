"""Does the map order places as fine-tuning does? Rank correlation of what is probed with what is reached there.

    PYTHONPATH=. python benchmarks/map_ranks.py --data-dir DATA

Eight places of a network, evenly spaced, at two sides: validation accuracy of the map's probe, and of two stages
fine-tuned there in the usual way for 8 epochs (`hpo.search.seeding`), seed 0. Prints both for each place and Spearman's
rank correlation for each side and for all places of a network and a data set together.
"""

import argparse
import tempfile
from pathlib import Path

from first_ends import fine_tuned
from first_rates import CASES
from scipy.stats import spearmanr

from hpo.config import make_config
from models.backbones import get_backbone

SIDES = {"cifar10": (48, 96), "cats_vs_dogs": (96, 160)}
PLACES = 8


def main() -> None:
    """Each case, side by side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--cases", default=",".join(CASES))
    given = parser.parse_args()
    for name in given.cases.split(","):
        backbone, data, train, val = CASES[name]
        dataset = str(given.data_dir / data) if (given.data_dir / data).is_dir() else data
        blocks = get_backbone(backbone).blocks
        kept = [round(2 + place * (blocks - 2) / (PLACES - 1)) for place in range(PLACES)]
        together = []
        with tempfile.TemporaryDirectory() as folder:
            values = {"backbone": backbone, "dataset": dataset, "train_size": train, "val_size": val}
            places = {"cache_dir": f"{folder}/cache", "out": f"{folder}/runs", "data_dir": given.data_dir}
            config = make_config(values | places)
            for side in SIDES[data]:
                found = fine_tuned(config, side, kept)
                together += found
                print(f"{name}, {side} px: rank correlation {correlation(found):.2f}")
                for number, (mflops, frozen, tuned) in zip(kept, found, strict=True):
                    print(f"    {number:3} blocks, {mflops:6.2f} MFLOPs: {frozen:.3f} -> {tuned:.3f}", flush=True)
        print(f"{name}, both sides: rank correlation {correlation(together):.2f}", flush=True)


def correlation(found: list[tuple[float, float, float]]) -> float:
    """Spearman's, of frozen and fine-tuned accuracy."""
    return float(spearmanr([frozen for _, frozen, _ in found], [tuned for _, _, tuned in found]).statistic)


if __name__ == "__main__":
    main()
