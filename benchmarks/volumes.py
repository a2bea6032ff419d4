"""How much of the space of objectives the trials of a run dominate, and when. For search.py and ablation.py.

A trial is a mapping: `t`, the second at which it was told, and, where it has its numbers, `val_accuracy`, `ms` and
`mflops`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import moocore
import numpy as np
from jobs import Job

Trial = Mapping[str, Any]
AXES = ("linear", "logarithmic", "three")
REFERENCE = 1.001  # what is just as costly as the largest network still counts


def volumes(trials: Sequence[Trial], job: Job, until: float = float("inf")) -> dict[str, float]:
    """The hypervolumes of what was told until a second.

    Of error and FLOPs, the latter linear from 0 to those of the job's largest network ("linear") and logarithmic from
    its least ("logarithmic": a linear axis hides small networks), and of error, latency and FLOPs ("three"). An error
    counts as its share of 0.9, which is guessing among ten classes.
    """
    done = [trial for trial in trials if trial.get("val_accuracy") is not None and trial["t"] <= until]
    if not done:
        return dict.fromkeys(AXES, 0.0)
    error, ms, mflops = np.array([(1 - trial["val_accuracy"], trial["ms"], trial["mflops"]) for trial in done]).T
    error, flops = error / 0.9, mflops / job.most_mflops
    small = np.log(np.maximum(mflops, job.least_mflops) / job.least_mflops)
    small /= np.log(job.most_mflops / job.least_mflops)
    columns = ((error, flops), (error, small), (error, ms / job.most_ms, flops))
    return {
        name: float(moocore.hypervolume(np.column_stack(each), ref=np.full(len(each), REFERENCE)))
        for name, each in zip(AXES, columns, strict=True)
    }


def curve(trials: Sequence[Trial], job: Job, until: float) -> list[tuple[float, dict[str, float]]]:
    """The second and the hypervolumes after each trial that was told until a second, from (0, nothing) on."""
    times = sorted(trial["t"] for trial in trials if trial.get("val_accuracy") is not None and trial["t"] <= until)
    return [(0.0, dict.fromkeys(AXES, 0.0)), *((t, volumes(trials, job, t)) for t in times)]


def when(steps: Sequence[tuple[float, dict[str, float]]], axes: str, volume: float) -> float | None:
    """The second after which a curve is at a hypervolume; None if never."""
    return next((t for t, found in steps if found[axes] >= volume), None)


def reached(trials: Sequence[Trial], accuracy: float, mflops: float) -> float | None:
    """The second at which a trial was told that is so accurate at no more FLOPs."""
    good = (t["t"] for t in trials if (t.get("val_accuracy") or 0) >= accuracy and t["mflops"] <= mflops)
    return min(good, default=None)
