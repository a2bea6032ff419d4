"""How much memory does a worker keep for each architecture that it has trained, with and without tidying up?

    PYTHONPATH=. python benchmarks/growth.py [--tidy]

72 architectures of custom_cnn on 300 digits, two epochs each; printed is the memory of the process after each twelve.
"""

import argparse
import itertools
import tempfile

import psutil

import hpo.worker.training
from hpo.config import make_config
from hpo.worker.job import Job
from hpo.worker.session import current, prepare
from models.candidate import Candidate

PLACES = itertools.product((0, 128, 256, 384, 512, 640), (0, 2, 3), (1, 2), (16, 24))
COMMON = {"backbone": "custom_cnn", "dropout": 0.1, "learning_rate": 1e-3, "lr_schedule": "cosine"}


def main() -> None:
    """All of them in this process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tidy", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        places = {"cache_dir": f"{folder}/cache", "out": f"{folder}/runs"}
        sizes = {"train_size": 300, "val_size": 150, "epochs": 2, "resolutions": (16, 24)}
        config = make_config({"dataset": "digits", **sizes, **places})
        facts = prepare(config)
        for number, (width, kept, depth, side) in enumerate(PLACES, start=1):
            candidate = Candidate(**COMMON, resolution=side, keep_blocks=kept, unfreeze_depth=depth, head_width=width)
            job = Job(config, "id", number, candidate, facts, config.out / "trials")
            hpo.worker.training.learn([job], [None], config.epochs, lambda sign: None, current())
            if given.tidy:
                current().tidy()
            if number % 12 == 0:
                print(f"{number} architectures: {psutil.Process().memory_info().rss / 2**20:.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
