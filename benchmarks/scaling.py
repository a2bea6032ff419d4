"""How many slots does one search keep busy? Training is simulated: a sleep of known length, which is skipped.

    PYTHONPATH=. python benchmarks/scaling.py [--slots 1,8,64,256] [--samplers tpe,planner] [--stopping dominance]

The search is the real one: its loop, samplers, stopping rule, display and database (a file of SQLite, as `hpo.run`
opens it). Only what workers do is not done. A whole trial takes `--seconds` of a slot, its rungs their share by epochs,
and brings what a model of a real study says (scaling_model.py). While a slot is busy nobody sleeps: the clock jumps to
the end of the next task (simulated.py), so seconds below are those that the search itself took on this machine, plus
those that it would have waited. The map of the real study and its first look are there when the clock begins. To reach
a worker costs nothing here; on a cluster it does, and nothing is lost or retried.

Every head is trained alone (`--heads 1`), so that a trial is a task: four heads in a task would be four trials in the
time of one, and more to do for the loop.

Efficiency is the share of the slots' time in which they were busy, from the first question to the last answer. Loop
are milliseconds that the search takes for a trial, among the first and the last of them, and what they go to. Volumes
are those of volumes.py ("three"), in the simulated study's own values: those of different numbers of slots can be
compared with each other, and with nothing else.

Prints a table, writes scaling.json and scaling.png beside this file, or where `--out` says. Rows that are there
already are not run again. `cpu_share` is that of a core that the process had: what is missing to 1 it waited, for the
disk and for whoever else uses the machine. On a machine that others use, `--clock cpu` counts only the processor time
of the search; what it waits for the disk, some seven commits of about half a millisecond for a trial, is then left out.
"""

import contextlib
import io
import itertools
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest.mock import patch

import click
import optuna
import sklearn.gaussian_process  # noqa: F401 - which the planner imports when it needs it: not within the first run
from jobs import JOBS
from scaling_model import Real, TrialModel
from simulated import Clock, SimulatedSlots, Timer, efficiency
from volumes import curve

import hpo.search.asking
import hpo.search.loop
from hpo.config import StudyConfig, make_config
from hpo.search.fingerprint import fingerprint
from hpo.search.loop import Search
from hpo.search.mapping import Mapping as MapUnderWay
from hpo.search.mapping import keep
from hpo.search.parts import Parts
from hpo.search.space import make_space
from hpo.terminal.display import PlainDisplay
from models.device import cpu_name
from studies.paths import StudyFiles, write_text
from studies.records import TrialRecord
from studies.storage import open_storage, open_study, watch

OUTPUT = Path(__file__).with_suffix(".json")
STEPS = ("sampler", "ask", "tell", "read", "rest")
EVERY = 250  # trials, after which the timer is read
LEFT_OUT = "worker"
AT = (100, 500, 2000)  # trials told, for which volumes are compared
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
COLOURS = ("#000000", "#E69F00", "#0072B2", "#D55E00", "#009E73")


class Watching(PlainDisplay):
    """As a terminal that is written to a file; remembers when each trial was told, and what the loop had taken."""

    def __init__(self, clock: Clock, timer: Timer):
        super().__init__()
        self._clock, self._timer = clock, timer
        self.trials: list[dict[str, Any]] = []
        self.seconds: list[dict[str, float]] = []

    def told(self, record: TrialRecord, records: list[TrialRecord]) -> None:
        super().told(record, records)
        row: dict[str, Any] = {"t": self._clock.now(), "state": record.state.value}
        if record.val_accuracy is not None and record.measurement is not None:
            flops = record.measurement.flops
            row |= {"val_accuracy": record.val_accuracy, "ms": record.latency_ms, "mflops": flops / 1e6}
        self.trials.append(row)
        if len(self.trials) % EVERY == 0:
            self.seconds.append(self._timer.so_far())


@contextlib.contextmanager
def timed(timer: Timer) -> Iterator[None]:
    """Have the steps of a search timed: what its sampler, the rest of asking, telling and reading trials take."""

    def sampler_of(make: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> optuna.samplers.BaseSampler:
            made = make(*args, **kwargs)
            for name in ("infer_relative_search_space", "sample_relative", "sample_independent", "after_trial"):
                setattr(made, name, timer.timed("sampler", getattr(made, name)))
            return made

        return call

    places = [
        (hpo.search.asking.Asker, "ask", "ask"),
        (hpo.search.loop, "tell_outcome", "tell"),
        (hpo.search.loop, "set_user_attrs", "tell"),
        (optuna.Study, "get_trials", "read"),
        (hpo.search.loop, "read_trial", "read"),
        (SimulatedSlots, "submit", LEFT_OUT),
    ]
    with contextlib.ExitStack() as stack:
        for where, name, step in places:
            stack.enter_context(patch.object(where, name, timer.timed(step, getattr(where, name))))
        for name in ("make_sampler", "make_planner"):
            stack.enter_context(patch.object(hpo.search.asking, name, sampler_of(getattr(hpo.search.asking, name))))
        yield


def simulate(real: Real, folder: Path, slots: int, options: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """One study."""
    config = configured(real, folder, {name: value for name, value in options.items() if name != "clock"})
    facts, each = real.facts, seconds / config.epochs
    model = TrialModel(real, config)
    space = make_space(config, facts.stages, facts.resolutions, facts.class_token)
    storage = open_storage(config.storage, write=True)
    study = open_study(storage, config.study_name, fingerprint(config, facts, space).to_dict())
    keep(study, real.found)

    def attempt(jobs, until):
        return [model.outcome(job, until, each * until) for job in jobs]

    def lasts(args, outcomes):
        (job,) = args[0]
        return outcomes[0].seconds["train"] - job.spent.get("train", 0.0)

    counted = CLOCKS[options["clock"]]
    clock, timer, cpu, real_time = Clock(counted), Timer(counted), time.process_time(), time.perf_counter()
    with SimulatedSlots(slots, clock, lasts) as workers, timed(timer):
        display = Watching(clock, timer)
        check = watch(config.storage, StudyFiles(config.study_dir).trials, None)
        search = Search(config, study, facts, space, workers, display, Parts(attempt=attempt), check)
        display.prepared(config, facts, [])
        search.run(MapUnderWay(config, facts, display, real.found))
    storage.engine.dispose()
    shares = {"cpu_share": (time.process_time() - cpu) / (time.perf_counter() - real_time)}
    return {**options, "seconds_of_a_trial": seconds} | summary(display, workers, slots) | shares


def configured(real: Real, folder: Path, options: Mapping[str, Any]) -> StudyConfig:
    """A study like the real one, with its database in a folder."""
    return make_config(
        {
            "backbone": real.found.backbone,
            "dataset": real.found.dataset,
            "train_size": real.facts.n_train,
            "val_size": real.facts.n_val,
            "epochs": real.epochs,
            "heads": 1,
            "storage": f"sqlite:///{folder}/studies.db",
            "out": folder / "runs",
            "cache_dir": folder / "cache",
            "stall_timeout": 1e9,  # nobody gives a sign of life
            **options,
        }
    )


def summary(display: Watching, workers: SimulatedSlots, slots: int) -> dict[str, Any]:
    """What came of a study."""
    trials, wall = display.trials, display.trials[-1]["t"]
    steps = curve(trials, JOBS["cifar10"], wall)
    moments = {number: trials[number - 1]["t"] for number in (*AT, len(trials)) if number <= len(trials)}
    return {
        "slots": slots,
        "told": len(trials),
        "trained_to_the_end": sum("val_accuracy" in trial for trial in trials),
        "wall_s": wall,
        "mean_trial_s": workers.busy / len(trials),
        "efficiency": efficiency(workers, wall),
        "loop_ms": [
            per_trial(row, before) for row, before in zip(display.seconds, [{}, *display.seconds], strict=False)
        ],
        "volume_after": {n: max(v["three"] for t, v in steps if t <= moment) for n, moment in moments.items()},
        "curve": [(round(t, 3), round(found["three"], 5)) for t, found in thinned(steps)],
    }


def per_trial(seconds: Mapping[str, float], before: Mapping[str, float]) -> dict[str, float]:
    """Milliseconds of each step for one of the trials between two looks at the timer."""
    found = {step: 1e3 * (seconds.get(step, 0.0) - before.get(step, 0.0)) / EVERY for step in STEPS}
    return found | {"all": sum(found.values())}


def thinned(steps: Sequence[tuple[float, dict[str, float]]]) -> list[tuple[float, dict[str, float]]]:
    """Of a curve that never falls, the steps at which it rises, and its end."""
    rising = [after for before, after in itertools.pairwise(steps) if after[1]["three"] > before[1]["three"]]
    return [*steps[:1], *rising, *steps[-1:]]


def show(row: Mapping[str, Any]) -> None:
    first, last = row["loop_ms"][0], row["loop_ms"][-1]
    parts = ", ".join(f"{step} {last[step]:.0f}" for step in STEPS)
    volumes = ", ".join(f"{volume:.4f} after {n}" for n, volume in row["volume_after"].items())
    print(
        f"{row['sampler']:>8} {row['slots']:>4} slots, simulated, {row['stopping']}, {row['clock']}: "
        f"efficiency {row['efficiency']:.3f}, "
        f"cpu {row['cpu_share']:.2f}, wall clock {row['wall_s']:.0f} s, a trial {row['mean_trial_s']:.1f} s, "
        f"loop {first['all']:.0f} to {last['all']:.0f} ms a trial ({parts}); volume {volumes}",
        flush=True,
    )


def draw(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Volume over wall-clock time, a panel for each sampler."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter

    rows = sorted(rows, key=lambda row: row["slots"])
    samplers = list(dict.fromkeys(row["sampler"] for row in rows))
    figure = Figure(figsize=(4.6 * len(samplers), 3.8), layout="constrained")
    panels = figure.subplots(1, len(samplers), sharex=True, sharey=True, squeeze=False)[0]
    for axes, sampler in zip(panels, samplers, strict=True):
        mine = [row for row in rows if row["sampler"] == sampler]
        for row, colour in zip(mine, COLOURS, strict=False):
            t, volume = zip(*row["curve"][1:], strict=True)
            label = f"{row['slots']} slot{'s' if row['slots'] > 1 else ''}"
            axes.step(t, volume, where="post", color=colour, label=label, linewidth=1.4)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator())
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_title({"planner": "planner (default)", "tpe": "TPE"}.get(sampler, sampler))
        axes.set_xlabel("wall clock, s (training is simulated)")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, loc="lower right")
    figure.axes[0].set_ylabel("dominated hypervolume of\nerror, latency and FLOPs")
    figure.savefig(path, dpi=120)


def listed(_context: click.Context, _parameter: click.Parameter, value: str) -> list[str]:
    return value.split(",")


@click.command()
@click.option("--slots", default="1,8,64,256", callback=listed, help="tasks at once, separated by commas")
@click.option("--samplers", default="tpe,planner", callback=listed, help="separated by commas")
@click.option("--trials", default=2000, show_default=True)
@click.option("--seconds", default=10.0, show_default=True, help="of a whole trial")
@click.option("--stopping", default="dominance", show_default=True)
@click.option("--clock", type=click.Choice([*CLOCKS]), default="wall", show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=OUTPUT, help="JSON, and a picture beside it")
def main(
    slots: list[str], samplers: list[str], trials: int, seconds: float, stopping: str, clock: str, seed: int, out: Path
) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    real = Real.read()
    rows = json.loads(out.read_text(encoding="utf-8"))["rows"] if out.is_file() else []
    about = {"simulated": "training is a sleep that is skipped, see scaling.py", "cpu": cpu_name()}
    about |= {"date": date.today().isoformat(), "python": sys.version.split()[0]}
    about |= {name: version(name) for name in ("optuna", "sqlalchemy", "scikit-learn")}
    for number in map(int, slots):
        for sampler in samplers:
            options = {"sampler": sampler, "trials": trials, "stopping": stopping, "seed": seed, "clock": clock}
            wanted = {**options, "seconds_of_a_trial": seconds, "slots": number}
            if any(all(row[key] == value for key, value in wanted.items()) for row in rows):
                continue
            with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
                rows.append(simulate(real, Path(folder), number, options, seconds))
            show(rows[-1])
            write_text(out, json.dumps({"about": about, "rows": rows}, indent=1) + "\n")
    draw([row for row in rows if (row["stopping"], row["clock"]) == (stopping, clock)], out.with_suffix(".png"))


if __name__ == "__main__":
    main()
