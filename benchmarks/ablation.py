"""What does each part of the search contribute? The main job with everything, and with a part of it taken away.

    python benchmarks/ablation.py --data-dir DATA [--seeds 3] [--seconds 150] [--only all,"without planner"]
    python benchmarks/ablation.py --data-dir DATA --trials 20 --only all

mobilenet_v2_0.35 with ImageNet weights on CIFAR-10 (4,000 + 1,000 pictures), 4 epochs, all else as `hpo.run` has it;
every run is the command itself in a process of its own, with empty folders, one after the other. With --trials a study
ends after so many trials, else after so many seconds, counted from the command; a trial counts from when it was told.

Hypervolumes are those of volumes.py. Also when the front had 0.60 at no more than 1.8 MFLOPs, 0.68 at no more than 4.2
and 0.71 at no more than 7.

Without the map there are no planner and no seeds from it, and without searched ends there is no map: what the map and
the ends themselves add is the difference to "without planner".

Rows that are in the file already are not run again: it can be broken off and goes on a row at a time.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import ours
from jobs import JOBS
from volumes import reached, volumes

from studies.paths import write_text

JOB, EPOCHS = JOBS["cifar10"], 4
VARIANTS = {
    "all": [],
    "without planner": ["--sampler", "tpe"],
    "without map": ["--no-map"],
    "without ends": ["--keep", "full"],
    "without probes as heads": ["--head-start", "random"],
    "without stopping": ["--stopping", "none"],
    "without store": ["--cache-gib", "0"],
    "without heads together": ["--heads", "1"],
}


def say(row: dict[str, Any], until: float) -> None:
    """A line of a run."""
    times = [reached(row["trials"], *target) for target in JOB.targets]
    print(
        f"{row['variant']}, seed {row['seed']}: {row['seconds']:.0f} s, {len(row['trials'])} trials, "
        + ", ".join(f"{name} {value:.4f}" for name, value in volumes(row["trials"], JOB, until).items())
        + "; targets after "
        + ", ".join("never" if at is None else f"{at:.0f} s" for at in times),
        flush=True,
    )


def say_median(rows: Sequence[dict[str, Any]], until: float) -> None:
    """A line of the runs of a variant: median, least and most."""
    each = [volumes(row["trials"], JOB, until) for row in rows]
    columns = {name: [found[name] for found in each] for name in each[0]}
    print(
        f"{rows[0]['variant']}, median: "
        + ", ".join(f"{k} {statistics.median(v):.4f} ({min(v):.4f} - {max(v):.4f})" for k, v in columns.items()),
        flush=True,
    )


def main() -> None:
    """Run what is missing, and print all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=150.0)
    parser.add_argument("--trials", type=int)
    parser.add_argument("--only", default=",".join(VARIANTS), help=f"of {', '.join(VARIANTS)}")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".json"))
    given = parser.parse_args()
    known = json.loads(given.output.read_text()) if given.output.exists() else {"rows": []}
    budget = f"{given.trials} trials" if given.trials else f"{given.seconds:g} s"
    until = float("inf") if given.trials else given.seconds
    limit = ["--trials", str(given.trials)] if given.trials else ["--trials", "10000", "--timeout", str(given.seconds)]
    for name in given.only.split(","):
        runs = []
        for seed in range(given.seeds):
            key = {"variant": name, "seed": seed, "budget": budget}
            row = next((row for row in known["rows"] if key.items() <= row.items()), None)
            if row is None:
                options = ["--epochs", str(EPOCHS), *limit, *VARIANTS[name]]
                row = key | ours.run(JOB, options, seed, given.data_dir) | ours.about()
                known["rows"].append(row)
                write_text(given.output, json.dumps(known) + "\n")
            say(row, until)
            runs.append(row)
        say_median(runs, until)


if __name__ == "__main__":
    main()
