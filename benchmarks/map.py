"""Seconds and accuracy of the map, for several networks and data sets; each map is made with an empty cache.

    python benchmarks/map.py --data-dir DATA [--output benchmarks/map.json]

DATA is a folder with cifar10.npz and cats_vs_dogs/. Networks with ImageNet weights; CIFAR-10 with 4,000 + 1,000
pictures, cats and dogs with all. For each the seconds of each side (features, probes, conversion, latencies), the
seconds of the whole command with the start of its process, and for each side the best probe and the cheapest within a
standard error of it. What is there already is not run again: a row at a time.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from models.device import cpu_name
from studies import strict
from studies.probes import Map, enough, front

ROOT = Path(__file__).parent.parent
NETWORKS = ("mobilenet_0.25", "mobilenet_v2_0.35", "mobilenet_v3_small", "resnet18", "vgg16")
DATA = {"cifar10": ["--train-size", "4000", "--val-size", "1000"], "cats_vs_dogs": []}


def one(backbone: str, dataset: str, data_dir: Path) -> dict[str, object]:
    """A map, and how long it took."""
    named = dataset if dataset == "cifar10" else str(data_dir / dataset)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "hpo.map", "--backbone", backbone, "--dataset", named, *DATA[dataset]]
        command += ["--data-dir", str(data_dir), "--out", f"{folder}/runs", "--cache-dir", f"{folder}/cache"]
        begun = time.monotonic()
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        seconds = time.monotonic() - begun
        sides = [strict.from_json(Map, path.read_text()) for path in Path(folder).glob("runs/*/map/*.json")]
    probes = [probe for side in sides for probe in side.probes]
    n_val = sides[0].n_val
    best = {side: max(p.val_accuracy for p in probes if p.resolution == side) for side in sides[0].resolutions}
    return {
        "backbone": backbone,
        "dataset": dataset,
        "pictures": [sides[0].n_train, n_val],
        "seconds": round(seconds, 1),
        "probes": len(probes),
        "on_front": len(front(probes)),
        "sides": [
            {
                "resolution": side,
                "seconds": round(next(one.seconds for one in sides if one.probes[0].resolution == side), 1),
                "best": best[side],
                "enough": {"blocks": place.kept, "of": place.blocks, "val_accuracy": place.val_accuracy},
            }
            for side, place in enough(probes, n_val).items()
        ],
    }


def main() -> None:
    """Run what is missing, write after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "map.json")
    given = parser.parse_args()
    about = {"device": cpu_name(), "keras": version("keras"), "tensorflow": version("tensorflow")}
    rows = json.loads(given.output.read_text())["rows"] if given.output.exists() else []
    for dataset in DATA:
        for backbone in given.networks.split(","):
            if any((row["backbone"], row["dataset"]) == (backbone, dataset) for row in rows):
                continue
            rows.append(one(backbone, dataset, given.data_dir.resolve()))
            row = rows[-1]
            print(
                f"{backbone} on {dataset}: {row['probes']} places in {row['seconds']} s, {row['on_front']} on the front"
            )
            for side in row["sides"]:
                place = side["enough"]
                print(
                    f"  {side['resolution']} px: {side['seconds']} s, best {side['best']:.3f}; "
                    f"{place['blocks']} of {place['of']} blocks are enough ({place['val_accuracy']:.3f})"
                )
            given.output.write_text(json.dumps({"date": str(date.today()), **about, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
