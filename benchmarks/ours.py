"""One run of this project, as the command that a user types. For search.py and ablation.py."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jobs import Job

from models.device import cpu_name

ROOT = Path(__file__).parent.parent


def run(job: Job, options: Sequence[str], seed: int, data_dir: Path, named: bool = True) -> dict[str, Any]:
    """One study with empty folders in a process of its own: {"seconds" of the command, "trials"}.

    The trials are in the order in which they ended; the second of each is counted from the command. `named`: the job
    names the backbone, and not the options.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "hpo.run", "--seed", str(seed), *options]
        for name, value in job.settings(data_dir).items():
            if name == "backbone" and not named:
                continue
            command += [f"--{name.replace('_', '-')}", str(value)]
        command += [
            "--out",
            f"{folder}/runs",
            "--cache-dir",
            f"{folder}/cache",
            "--storage",
            f"sqlite:///{folder}/s.db",
        ]
        begun = time.time()
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        seconds = time.time() - begun
        return {"seconds": round(seconds, 1), "trials": _told(f"sqlite:///{folder}/s.db", begun)}


def _told(storage: str, begun: float) -> list[dict[str, Any]]:
    """The trials of the only study of a database."""
    import optuna

    (study,) = optuna.get_all_study_summaries(storage)
    rows = []
    for trial in optuna.load_study(study_name=study.study_name, storage=storage).get_trials(deepcopy=False):
        if trial.datetime_complete is None:
            continue
        row: dict[str, Any] = {"t": round(trial.datetime_complete.timestamp() - begun, 1), "state": trial.state.name}
        row |= {"candidate": trial.user_attrs.get("candidate"), "seconds": trial.user_attrs.get("seconds")}
        if trial.state == optuna.trial.TrialState.COMPLETE:
            row |= {"val_accuracy": trial.values[0], "ms": trial.values[1], "mflops": trial.values[2] / 1e6}
        rows.append(row)
    return sorted(rows, key=lambda row: row["t"])


def about() -> dict[str, Any]:
    """Date, machine, versions, and the commit that ran, with a plus for changes that are in none."""
    done = subprocess.run(["git", "describe", "--always", "--dirty=+"], cwd=ROOT, check=True, capture_output=True)
    return {
        "date": date.today().isoformat(),
        "machine": cpu_name(),
        "commit": done.stdout.decode().strip(),
        "versions": {name: version(name) for name in ("keras", "tensorflow", "optuna", "ai-edge-litert")},
    }
