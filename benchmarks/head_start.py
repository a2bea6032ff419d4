"""Should a linear head begin at random, or with the closed-form classifier of its frozen features? Both, side by side.

    python benchmarks/head_start.py --data-dir DATA [--seeds 1]

mobilenet_v2_0.35 with ImageNet weights on CIFAR-10 (4,000 + 1,000 pictures): networks that end early, 2 stages
fine-tuned for 4 epochs, rate 1e-3, cosine, no dropout; and all of the network, 8 epochs, rate 3e-4, warmup_cosine,
dropout 0.2. Printed are the validation accuracies of all epochs, and their best.
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import hpo.worker.training
from hpo.config import make_config
from hpo.worker.job import Job
from hpo.worker.session import current, prepare
from hpo.worker.start import first_head
from models.candidate import Candidate

SHORT = {"dropout": 0.0, "learning_rate": 1e-3, "lr_schedule": "cosine", "unfreeze_depth": 2}
WHOLE = {"dropout": 0.2, "learning_rate": 3e-4, "lr_schedule": "warmup_cosine"}
CASES = (
    (4, {"resolution": 32, "keep_blocks": 13, **SHORT}),
    (4, {"resolution": 48, "keep_blocks": 14, **SHORT}),
    (4, {"resolution": 64, "keep_blocks": 13, **SHORT}),
    (8, {"resolution": 64, "unfreeze_depth": 1, **WHOLE}),
    (8, {"resolution": 64, "unfreeze_depth": 2, **WHOLE}),
)


def from_probe(sources, beat):
    """The probe for all of the network too."""
    return first_head(sources, beat, everywhere=True)


def main() -> None:
    """Each case from both starts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        common = {"backbone": "mobilenet_v2_0.35", "dataset": "cifar10", "train_size": 4000, "val_size": 1000}
        common |= {"data_dir": given.data_dir, "cache_dir": Path(folder) / "cache", "out": Path(folder) / "runs"}
        hpo.worker.training.first_head = from_probe
        for epochs, values in CASES:
            candidate = Candidate(backbone="mobilenet_v2_0.35", head_width=0, **values)
            for start in ("random", "probe"):
                for seed in range(given.seeds):
                    config = make_config({**common, "epochs": epochs, "head_start": start, "seed": seed})
                    job = Job(config, "id", 0, candidate, prepare(config), Path(folder) / "trials")
                    (learned,) = hpo.worker.training.learn([job], [None], epochs, lambda sign: None, current())
                    curve = [point.val_accuracy for point in learned.curve]
                    what = f"{candidate.resolution} px, {candidate.keep_blocks or 18} of 18 blocks"
                    what += f", {candidate.unfreeze_depth} stages free, {start}, seed {seed}"
                    print(f"{what}: {max(curve):.3f}  ({' '.join(f'{one:.3f}' for one in curve)})", flush=True)


if __name__ == "__main__":
    main()
