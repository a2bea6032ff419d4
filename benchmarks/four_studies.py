"""Runs the four studies on which every sentence of a report's summary is tested, and keeps what the test reads.

    python benchmarks/four_studies.py DATA FOLDER

DATA has cifar10.npz, cats_vs_dogs/ and keras_home/ (see docs/data.md). Everything is made in FOLDER; what is kept of
it, the database, results and predictions, goes to tests/data/four, without models and pictures. CIFAR-10 was JPEG
copies of the official pictures. The fourth data set is made here: 250 pictures of five of its classes.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parent.parent
KEPT = ROOT / "tests" / "data" / "four"
SMALL = "--train-size 2000 --val-size 1000 --trials 12"
STUDIES = {
    "mobilenet_v2_0.35-cifar10": f"--backbone mobilenet_v2_0.35 --dataset cifar10 {SMALL}",
    "lenet5_colour-cifar10-scratch": f"--backbone lenet5 --weights none --dataset cifar10 {SMALL}",
    "mobilenet_0.25-cats_vs_dogs": "--backbone mobilenet_0.25 --dataset data/cats_vs_dogs --trials 12 "
    "--max-latency-ms 1.5",
    "mobilenet_0.25-own": "--backbone mobilenet_0.25 --dataset own --trials 12",
}
CLASSES = {1: "car", 4: "deer", 5: "dog", 7: "horse", 8: "ship"}


def make_pictures(data: Path, folder: Path) -> None:
    """Fifty pictures of each class, as files."""
    with np.load(data / "cifar10.npz") as stored:
        pictures, labels = stored["x_test"], stored["y_test"].ravel()
    for label, name in CLASSES.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number, picture in enumerate(pictures[labels == label][:50]):
            Image.fromarray(picture).save(folder / name / f"{number:02}.png")


def main() -> None:
    """Search, evaluate, keep."""
    data, folder = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    folder.mkdir(parents=True)
    (folder / "data").symlink_to(data)  # so that no absolute path gets into the database
    make_pictures(data, folder / "own")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "KERAS_HOME": str(data / "keras_home")}

    def run(command: str, words: str) -> None:
        line = [sys.executable, "-m", command, *words.split(), "--data-dir", "data", "--cache-dir", "cache"]
        subprocess.run(line, cwd=folder, env=environment, check=True)

    for name, words in STUDIES.items():
        run("hpo.run", f"{words} --study {name}")
        run("hpo.evaluate", f"{name} --pick few --seeds 3")
    keep(folder)


def keep(folder: Path) -> None:
    """The database, results and predictions."""
    shutil.rmtree(KEPT, ignore_errors=True)
    for path in folder.glob("runs/*/final/*/seed-*/*"):
        kept = KEPT / path.relative_to(folder)
        kept.parent.mkdir(parents=True, exist_ok=True)
        if path.name == "result.json":
            shutil.copy(path, kept)
        elif path.name == "predictions.npz":
            with np.load(path) as stored:
                shares, labels = stored["probabilities"], stored["labels"]
            # Which class is the most probable, and no more: the probabilities of all classes would be megabytes.
            guesses = np.eye(shares.shape[1], dtype="uint8")[shares.argmax(1)]
            np.savez_compressed(kept, probabilities=guesses, labels=labels)
    shutil.copy(folder / "studies.db", KEPT)


if __name__ == "__main__":
    main()
