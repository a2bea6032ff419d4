"""MO-ASHA by Syne Tune (Schmucker et al. 2021, arXiv 2106.12639) with its local backend. For rivals.py.

Each trial is a process of its own (rivals_moasha_trial.py) that reports every epoch and is killed when the scheduler
stops it: the import of Keras in each trial is charged, since that is how the local backend works. One worker, as
everywhere. Made better than it comes, in its favour: it polls every 0.1 s, not every 5; trials may use all cores, not
one; the data lie in a small file, cut already.

Its priority is repaired. A scheduler decides by the rank of the newest trial, but `NonDominatedPriority` of Syne Tune
0.16.0 gives the positions in sorted order (an argsort) in place of ranks. *Measured*: a trial that dominates all of the
20 before it at its rung is stopped in 62 % of random orders. `--shipped-priority` takes it as it is.
The rest of the decision is Syne Tune's: a trial goes on while at most a third of those at its rung are before it, from
the second trial on (`hpo.search.stopping` decides from the third on).
"""

import contextlib
import io
import logging
import os
import pickle
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rivals_plain as plain

os.environ.setdefault("OMP_NUM_THREADS", str(len(os.sched_getaffinity(0))))  # else Syne Tune sets 1 for all trials

from syne_tune import StoppingCriterion, Tuner
from syne_tune.backend import LocalBackend
from syne_tune.config_space import choice, loguniform, randint, uniform
from syne_tune.optimizer.scheduler import SchedulerDecision
from syne_tune.optimizer.schedulers.multiobjective.moasha import MOASHA
from syne_tune.optimizer.schedulers.multiobjective.multiobjective_priority import MOPriority, NonDominatedPriority
from syne_tune.tuner_callback import TunerCallback

from hpo.search.stopping import Reached, moasha_order
from models.training.schedules import LR_SCHEDULES

METRICS = ["error", "latency_ms", "flops"]  # all down
FACTOR, POLL_SECONDS, FAILURES = 3, 0.1, 3


class Ranks(MOPriority):
    """The place of each trial in the order of the paper, as `hpo.search.stopping` has it; lower goes first."""

    def priority_unsafe(self, objectives: np.ndarray) -> np.ndarray:
        order = moasha_order([Reached(number, 1 - row[0], row[1], row[2]) for number, row in enumerate(objectives)])
        places = np.empty(len(order), int)
        places[order] = np.arange(len(order))
        return places


class Notes(TunerCallback):
    """Writes a trial down when the scheduler has ended it, with the best accuracy that it reported."""

    def __init__(self, setup: plain.Setup, journal: plain.Journal):
        self.setup, self.journal = setup, journal
        self.best: dict[int, float] = {}

    def on_trial_result(self, trial: Any, status: str, result: dict[str, Any], decision: str) -> None:
        number = trial.trial_id
        self.best[number] = max(self.best.get(number, 0.0), result["val_accuracy"])
        if decision == SchedulerDecision.STOP:  # also after the last epoch
            costs = result["latency_ms"], int(result["flops"])
            candidate = self.setup.candidate(trial.config)
            with contextlib.suppress(plain.TimeIsUp):  # the tuner ends by itself
                self.journal.add(candidate, result["epoch"], self.best[number], result["train_seconds"], costs)


def space(setup: plain.Setup, path: Path) -> dict[str, Any]:
    """The space in Syne Tune's words, and the file that a trial is told of."""
    searched = setup.space
    widths, dropouts, rates = (searched.searched[name] for name in ("head_width", "dropout", "learning_rate"))
    return {
        "unfreeze_depth": randint(searched.depths.low, searched.depths.high),  # both ends are drawn
        "head_width": choice(list(range(widths.low, widths.high + 1, widths.step))),
        "dropout": uniform(dropouts.low, dropouts.high),
        "learning_rate": loguniform(rates.low, rates.high),
        "lr_schedule": choice(list(LR_SCHEDULES)),
        "resolution": choice(list(searched.resolutions)),
        "run": str(path),
    }


def make_run(shipped_priority: bool) -> Callable[[plain.Setup, plain.Pictures, plain.Journal], None]:
    def run(setup: plain.Setup, pictures: plain.Pictures, journal: plain.Journal) -> None:
        logging.getLogger("syne_tune").setLevel(logging.ERROR)
        os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)  # for the trials
        np.random.seed(setup.config.seed)  # noqa: NPY002  MOASHA draws from the global generator, whatever its random_seed
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            os.environ["SYNETUNE_FOLDER"] = folder
            path = Path(folder) / "run"
            path.write_bytes(pickle.dumps((setup, pictures)))
            scheduler = MOASHA(
                space(setup, path),
                METRICS,
                time_attr="epoch",
                max_t=setup.config.epochs,
                reduction_factor=FACTOR,
                multiobjective_priority=NonDominatedPriority() if shipped_priority else Ranks(),
            )
            Tuner(
                LocalBackend(str(Path(__file__).with_name("rivals_moasha_trial.py")), rotate_gpus=False),
                scheduler,
                StoppingCriterion(max_wallclock_time=journal.left()),
                n_workers=1,
                sleep_time=POLL_SECONDS,
                max_failures=FAILURES,
                callbacks=[Notes(setup, journal)],
                save_tuner=False,
            ).run()

    return run
