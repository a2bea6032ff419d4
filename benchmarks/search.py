"""Dominated hypervolume against wall-clock time: this project and what a user would run instead.

    PYTHONPATH=. python benchmarks/search.py --data-dir DATA --moasha-python PYTHON [--jobs cifar10] [--seeds 1]

The jobs of jobs.py. Ours is the command `hpo.run` with empty folders, once as it comes and once with TPE; the rivals
are those of rivals.py (PYTHON is one that has syne-tune; without it MO-ASHA is left out). Every method gets the same
seconds on the whole machine, one run after the other, nothing else running, and clocks start with the command. A trial
counts with its best accuracy when its numbers are known. Latency is that of LiteRT for all: ours measures it in the
search, the architectures of the rivals are measured when they are done, by the same code. Hypervolumes are those of
volumes.py.

Rows that are in search.json already are not run again: it can be broken off and goes on a row at a time. Prints a table
for each job, and draws search.png.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import ours
from jobs import JOBS, Job
from volumes import AXES, curve, reached, when

from hpo.config import make_config
from hpo.worker.mapping import job_of
from hpo.worker.memory import Memory
from hpo.worker.session import Session
from hpo.worker.survey import Survey
from models.build import build_network
from models.candidate import Candidate
from models.flops import count
from studies.paths import write_text

OUTPUT = Path(__file__).with_suffix(".json")
OURS = {"ours": [], "ours with TPE": ["--sampler", "tpe"]}
RIVALS = {
    "Optuna TPE": "tpe",
    "Optuna TPE in our space": "tpe-ours",
    "Optuna NSGA-II": "nsga2",
    "KerasTuner Hyperband": "hyperband",
    "Syne Tune MO-ASHA": "moasha",
}
NAMES = (*OURS, *RIVALS)
COLOURS = ("#000000", "#999999", "#0072B2", "#56B4E9", "#009E73", "#E69F00", "#D55E00")


def run_rival(method: str, python: str, name: str, seconds: float, seed: int, data_dir: Path) -> list[dict[str, Any]]:
    """The trials of a rival in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.json"
        options = {"job": name, "data-dir": data_dir, "seconds": seconds, "seed": seed, "output": path}
        words = [f"--{option}={value}" for option, value in options.items()]
        script = str(Path(__file__).with_name("rivals.py"))
        subprocess.run([python, script, method, *words, f"--begun={time.time()}"], check=True)
        return json.loads(path.read_text())["trials"]


def with_latencies(trials: Sequence[dict[str, Any]], job: Job, data_dir: Path, folder: Path) -> list[dict[str, Any]]:
    """With the latency of each in LiteRT, and FLOPs where a method has none; `folder` keeps what was measured."""
    config = make_config({**job.settings(data_dir), "cache_dir": folder})
    session = Session()
    facts = session.facts(config)
    task = session.task(job_of(config, facts, facts.resolutions[-1]))
    memory = Memory(folder, facts.measured_with)
    runtime, threads = facts.machine["latency_runtime"], facts.machine["latency_threads"]
    survey = Survey(task, facts.channels, runtime, threads, facts.resolutions, True, memory, folder)
    rows = []
    for trial in trials:
        candidate = Candidate.from_dict(trial["candidate"])
        row = {name: trial[name] for name in ("t", "val_accuracy", "epochs", "candidate")}
        counted = trial["flops"] or count(build_network(candidate, task, 0).model).flops
        rows.append(row | {"ms": survey.latency(candidate.architecture).ms, "mflops": counted / 1e6})
    return rows


def table(job: Job, rows: Sequence[dict[str, Any]], seconds: float) -> list[str]:
    """Lines for each method: hypervolumes at the end, when ours was there, and when targets were reached."""
    lines = [f"after {seconds:g} s: median (least - most) hypervolume {', '.join(AXES)}; ours there after; trials"]
    runs = {method: [row["trials"] for row in rows if row["method"] == method] for method in NAMES}
    curves = {method: [curve(each, job, seconds) for each in found] for method, found in runs.items() if found}
    for method, steps in curves.items():
        words = []
        for axes in AXES:
            finals = [one[-1][1][axes] for one in steps]
            median = statistics.median(finals)
            there = [when(one, axes, median) for one in curves.get("ours", [])]
            after = statistics.median([float("inf") if t is None else t for t in there] or [float("inf")])
            words.append(f"{median:.4f} ({min(finals):.4f} - {max(finals):.4f}) {_seconds(after)}")
        trials = "/".join(str(len(one) - 1) for one in steps)
        lines.append(f"{method:24} {'   '.join(words)}   {trials}")
        for accuracy, mflops in job.targets:
            times = [reached(each, accuracy, mflops) for each in runs[method]]
            shown = ", ".join(_seconds(float("inf") if t is None else t) for t in times)
            lines.append(f"    {accuracy} at no more than {mflops} MFLOPs after {shown}")
    return lines


def _seconds(after: float) -> str:
    return "never" if after == float("inf") else f"{after:.0f} s"


def draw(known: Sequence[dict[str, Any]], seconds: float, path: Path) -> None:
    """For each job and kind of hypervolume the median over seeds as a line, least to most as a band."""
    from matplotlib.figure import Figure

    jobs = [name for name in JOBS if any(row["job"] == name for row in known)]
    figure = Figure(figsize=(12, 3.6 * len(jobs)), layout="constrained")
    grid = np.linspace(0, seconds, 301)
    for name, panels in zip(jobs, figure.subplots(len(jobs), len(AXES), squeeze=False), strict=True):
        for axes, panel in zip(AXES, panels, strict=True):
            for method, colour in zip(NAMES, COLOURS, strict=True):
                steps = [
                    curve(row["trials"], JOBS[name], seconds)
                    for row in known
                    if (row["job"], row["method"]) == (name, method)
                ]
                if not steps:
                    continue
                values = np.array([[max(v[axes] for t, v in one if t <= now) for now in grid] for one in steps])
                panel.plot(grid, np.median(values, axis=0), color=colour, label=method, linewidth=2)
                panel.fill_between(grid, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.15, linewidth=0)
            panel.set_title(f"{JOBS[name].backbone} on {JOBS[name].dataset}: {axes}", fontsize=9)
            panel.set_xlim(0, seconds)
            panel.set_ylim(0)
            panel.set_xlabel("seconds from the command")
            panel.spines[["top", "right"]].set_visible(False)
        panels[0].set_ylabel("dominated hypervolume")
    handles = {line.get_label(): line for axes in figure.axes for line in axes.get_lines()}
    figure.legend(handles=list(handles.values()), frameon=False, fontsize=8, loc="outside lower center", ncols=4)
    figure.savefig(path, dpi=110)


@click.command()
@click.option("--data-dir", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--moasha-python", help="A Python that has syne-tune.")
@click.option("--seconds", default=300.0, show_default=True)
@click.option("--jobs", default=",".join(JOBS), show_default=True)
@click.option("--seeds", type=int, help="At most so many of each job.")
@click.option("--methods", default=",".join(NAMES), help="Only these.")
@click.option("--folder", type=click.Path(path_type=Path), default=Path("search-latencies"), show_default=True)
@click.option("--output", type=click.Path(path_type=Path), default=OUTPUT)
def main(
    data_dir: Path,
    moasha_python: str | None,
    seconds: float,
    jobs: str,
    seeds: int | None,
    methods: str,
    folder: Path,
    output: Path,
) -> None:
    """Run what is missing, and print all."""
    known = json.loads(output.read_text())["rows"] if output.exists() else []
    wanted = [method for method in methods.split(",") if method != "Syne Tune MO-ASHA" or moasha_python]
    for name in jobs.split(","):
        job = JOBS[name]
        for seed in range(min(job.seeds, seeds or job.seeds)):
            for method in wanted:
                key = {"job": name, "method": method, "seed": seed, "budget": seconds}
                if any(key.items() <= row.items() for row in known):
                    continue
                if method in OURS:
                    limit = ["--trials", "10000", "--timeout", str(seconds)]
                    row = key | ours.run(job, [*limit, *OURS[method]], seed, data_dir)
                else:
                    python = moasha_python if method == "Syne Tune MO-ASHA" else sys.executable
                    trials = run_rival(RIVALS[method], str(python), name, seconds, seed, data_dir)
                    row = key | {"trials": with_latencies(trials, job, data_dir, folder)}
                known.append(row | ours.about())
                write_text(output, json.dumps({"rows": known}) + "\n")
                print(f"{name}, {method}, seed {seed}: {len(row['trials'])} trials", flush=True)
        mine = [row for row in known if (row["job"], row["budget"]) == (name, seconds)]
        print("\n".join([name, *table(job, mine, seconds)]), flush=True)
    draw([row for row in known if row["budget"] == seconds], seconds, output.with_suffix(".png"))


if __name__ == "__main__":
    main()
