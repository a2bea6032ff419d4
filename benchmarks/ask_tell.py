"""What do asking and telling cost on a server of PostgreSQL, beside a file of SQLite?

    PYTHONPATH=. python benchmarks/ask_tell.py

Studies of 10, 1,000 and 10,000 trials in both, as this program opens them (SQLite with WAL and synchronous=FULL, the
server on this machine with a socket of TCP and its own defaults); then trials are asked for at random, get the
attributes of a trial of eight epochs, are told, and all are read as the loop reads them, in turns. Seconds of each of
the steps, median of 30. Writes ask_tell.json beside this file.
"""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from importlib.metadata import version
from pathlib import Path

import optuna
from optuna.distributions import FloatDistribution

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from postgresql import running

from models.device import cpu_name
from studies.one_writer import set_user_attrs
from studies.paths import write_text
from studies.storage import open_storage, open_study

SIZES, TRIALS = (10, 1_000, 10_000), 30
SPACE = {f"parameter_{n}": FloatDistribution(0, 1) for n in range(8)}
ATTRIBUTES = {
    "candidate": dict.fromkeys(SPACE, 0.5),
    "learning_curve": [{"epoch": n, "loss": 0.1, "val_accuracy": 0.9, "seconds": 1.5} for n in range(8)],
    "seconds": {"measure": 0.1, "train": 12.0},
}
STEPS = ("ask", "attributes", "tell", "read")


def fill(study: optuna.Study, size: int) -> None:
    """Complete trials, up to so many."""
    template = optuna.trial.create_trial(
        values=(0.5, 1.0, 2.0), params=dict.fromkeys(SPACE, 0.5), distributions=SPACE, user_attrs=ATTRIBUTES
    )
    study.add_trials([template] * (size - len(study.get_trials(deepcopy=False))))


def one(study: optuna.Study) -> dict[str, float]:
    """Seconds of each step of a trial."""
    seconds: dict[str, float] = {}

    def timed(step: str, do: Callable[[], object]) -> object:
        begun = time.perf_counter()
        done = do()
        seconds[step] = time.perf_counter() - begun
        return done

    trial = timed("ask", lambda: study.ask(SPACE))
    timed("attributes", lambda: set_user_attrs(trial, ATTRIBUTES))
    timed("tell", lambda: study.tell(trial, (0.5, 1.0, 2.0)))
    timed("read", lambda: study.get_trials(deepcopy=False))
    return seconds


def main() -> None:
    """Fill, time, print and write."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    rows = []
    with tempfile.TemporaryDirectory() as folder, running() as server:
        urls = {"SQLite": f"sqlite:///{folder}/studies.db", "PostgreSQL": server.url}
        for url in urls.values():
            open_study(open_storage(url, write=True), "s", {})
        for size in SIZES:
            for url in urls.values():
                fill(optuna.load_study(study_name="s", storage=open_storage(url, write=True)), size)
            studies = {name: open_study(open_storage(url, write=True), "s", {}) for name, url in urls.items()}
            for study in studies.values():
                study.sampler = optuna.samplers.RandomSampler(0)
                one(study)  # what is cached is cached
            found = [{name: one(study) for name, study in studies.items()} for _ in range(TRIALS)]
            for name in studies:
                row = {step: statistics.median(each[name][step] for each in found) for step in STEPS}
                rows.append({"database": name, "trials": size, **row})
                print(
                    f"{size:>6} trials, {name}: " + ", ".join(f"{k} {1e3 * v:.1f} ms" for k, v in row.items()),
                    flush=True,
                )
    about = {"cpu": cpu_name(), "date": date.today().isoformat(), "python": sys.version.split()[0]}
    about |= {name: version(name) for name in ("optuna", "sqlalchemy", "psycopg")}
    write_text(Path(__file__).with_suffix(".json"), json.dumps({"about": about, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
