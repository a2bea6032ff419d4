"""The same candidates, once by a plain Keras loop in an Optuna study and once by us, with the store cold and warm.

    PYTHONPATH=. python benchmarks/reuse.py --data-dir DATA

CIFAR-10, 4,000 + 1,000 pictures, batch 32: MobileNetV2 0.35 with ImageNet weights, and VGG19 with random weights at
32 px. Three lists of candidates for each: only the head trained, the last stage free, and a draw from the default
space. The plain loop pushes every picture through the whole network in every epoch, as Optuna's tutorial does. We use
`hpo.worker.training`, what a worker does: cold with an empty folder of stored features, mapped with what a study's map
of the sides in question left there, whose time does not count, and warm with what the cold pass left. Every network is
built and traced anew in each, as another study would do. Nobody measures latency here, nobody is stopped early, and the
clock starts with libraries and data in memory.

Prints a row for each list and seed, and writes reuse.json and reuse.png beside this file after each.
"""

import functools
import json
import math
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import click
import optuna

from hpo.config import StudyConfig, make_config
from hpo.search.space import make_space, suggest
from hpo.worker import training
from hpo.worker.facts import Facts
from hpo.worker.job import Job
from hpo.worker.mapping import probe_side
from hpo.worker.session import Session, current
from models.candidate import Candidate
from models.quiet import quiet_import
from models.reuse import locks

with quiet_import():
    import keras
    import rivals_plain as plain

    from models.build import Task, build_network
    from models.latency.call import machine_facts

BATCH, TRAIN, VAL = 32, 4000, 1000
EPOCHS = {"mobilenet_v2_0.35": 8, "vgg19": 2}
DRAWN = {"mobilenet_v2_0.35": 4, "vgg19": 2}  # for the first seed alone: it is the longest list
HEADS, LAST, SPACE = "only the head", "last stage free", "default space"
# What was stored before; nobody maps random weights.
STORES = {"mobilenet_v2_0.35": ("cold", "mapped", "warm"), "vgg19": ("cold", "warm")}
GOALS = {  # times faster
    HEADS: {"cold": 30, "mapped": 30, "warm": 60},
    LAST: dict.fromkeys(("cold", "mapped", "warm"), 2.5),
    SPACE: dict.fromkeys(("cold", "mapped", "warm"), 3),
}
COLOURS = {"cold": "#0072B2", "mapped": "#009E73", "warm": "#E69F00"}


def make_lists(backbone: str, stages: tuple[int, ...], resolutions: tuple[int, ...]) -> dict[str, list[Candidate]]:
    """The candidates; rates are ordinary ones, so that accuracies can be compared."""

    def make(depth: int, width: int, dropout: float, rate: float, schedule: str, side: int) -> Candidate:
        return Candidate(
            backbone=backbone,
            unfreeze_depth=depth,
            head_width=width,
            dropout=dropout,
            learning_rate=rate,
            lr_schedule=schedule,
            resolution=side,
        )

    side = 64 if len(resolutions) > 1 else 32
    heads = [make(0, 0, 0.2, 3e-3, "cosine", side), make(0, 256, 0.3, 1e-3, "constant", side)]
    heads += [make(0, 0, 0.4, 1e-3, "one_cycle", side), make(0, 512, 0.5, 1e-3, "cosine", side)]
    last = [make(1, 0, 0.2, 1e-4, "cosine", side)]
    space = make_space(make_config({"backbone": backbone, "keep": "full"}), stages, resolutions)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    drawn = [suggest(study.ask(), space) for _ in range(DRAWN[backbone])]
    return {HEADS: heads, LAST: last, SPACE: drawn}


def in_a_study(candidates: Sequence[Candidate], train: Callable[[Candidate], float]) -> list[float]:
    """An Optuna study in memory over a list of candidates, one after the other."""
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    for candidate in candidates:
        study.enqueue_trial(candidate.to_dict())
    found = []
    for candidate in candidates:
        trial = study.ask()
        found.append(train(candidate))
        study.tell(trial, found[-1])
    return found


def by_keras(candidates: Sequence[Candidate], config: StudyConfig, pictures: plain.Pictures) -> list[float]:
    """A full network for each candidate, fitted whole in every epoch."""

    def train(candidate: Candidate) -> float:
        keras.backend.clear_session()
        logits = build_network(candidate, Task(32, 32, 3, 10, config.weights), config.seed).logits
        plain.compile_for(logits, candidate, config, TRAIN)
        return plain.best_accuracy(plain.fit(logits, candidate, config, pictures)[0])

    return in_a_study(candidates, train)


def by_us(candidates: Sequence[Candidate], config, facts: Facts, session: Session) -> list[float]:
    """As a worker does it, with nothing built or traced before; heads on one resolution are trained together."""
    locks._checksums.clear()  # stored files are checked again, as a new worker does
    keras.backend.clear_session()
    with tempfile.TemporaryDirectory() as folder:
        jobs = [Job(config, "id", n, candidate, facts, Path(folder)) for n, candidate in enumerate(candidates)]
        groups: dict[object, list[Job]] = {}
        for job in jobs:
            together = job.candidate.resolution if job.candidate.unfreeze_depth == 0 else job.number + 0.5
            groups.setdefault(together, []).append(job)
        found: dict[int, float] = {}
        for group in groups.values():
            results = training.learn(group, [None] * len(group), config.epochs, lambda sign: None, session)
            for job, learned in zip(group, results, strict=True):
                assert isinstance(learned, training.Learned)
                found[job.number] = max(point.val_accuracy or 0 for point in learned.curve)
    return [found[number] for number in range(len(jobs))]


def fresh(config, facts: Facts) -> Session:
    """A session with the data open and nothing built, with the study's own split whatever the seed of a run."""
    session = Session()
    parts = session.split(config, facts.resolutions[-1])
    session.split = lambda *_: parts  # type: ignore[method-assign]
    return session


def leave_a_map(candidates: Sequence[Candidate], config: StudyConfig) -> None:
    """What a study stores that maps the candidates' sides alone: of another, latencies would be measured afterwards."""
    sides = tuple(sorted({candidate.resolution for candidate in candidates}))
    with tempfile.TemporaryDirectory() as folder:
        mapped = config.model_copy(update={"out": Path(folder), "resolutions": sides})
        for side in sides:
            probe_side(mapped, current().facts(mapped), side)


def timed(run: Callable[[], list[float]]) -> tuple[list[float], float]:
    start = time.perf_counter()
    found = run()
    return found, time.perf_counter() - start


def compare(
    backbone: str, weights: str, data_dir: Path, seed: int, cache: Path, wanted: Sequence[str], rows: list[dict]
) -> None:
    """Put what is missing into the row of each list that is wanted, and a row for each that has none."""
    config = make_config(
        {
            "backbone": backbone,
            "dataset": "cifar10",
            "data_dir": data_dir,
            "weights": weights,
            "train_size": TRAIN,
            "val_size": VAL,
            "epochs": EPOCHS[backbone],
            "batch_size": BATCH,
            "cache_dir": cache,
            "resolutions": None if backbone != "vgg19" else "32",
        }
    )
    session = Session()
    facts = session.facts(config)
    data, parts = session.data(config, facts.resolutions[-1]), session.split(config, facts.resolutions[-1])
    pictures = plain.Pictures(
        data.images[parts.train], data.labels[parts.train], data.images[parts.val], data.labels[parts.val]
    )
    # the split stays; the seed is of heads, order and dropout
    seeded = config.model_copy(update={"seed": seed})
    for name, candidates in make_lists(backbone, facts.stages, facts.resolutions).items():
        if name not in wanted or (name == SPACE and seed > 0):
            continue
        key = {"backbone": backbone, "list": name, "seed": seed}
        row = next((row for row in rows if key.items() <= row.items()), None)
        if row is None:
            about = {"cores": len(os.sched_getaffinity(0)), "machine": machine_facts()}
            drawn = [candidate.to_dict() for candidate in candidates]
            row = {**key, **about, "candidates": drawn, "seconds": {}, "val_accuracy": {}}
            rows.append(row)
        for kind in (*STORES[backbone], "plain"):
            if kind in row["seconds"]:
                continue
            run = functools.partial(by_keras, candidates, seeded, pictures)
            if kind != "plain":
                folder = cache / f"{name} {seed}{' mapped' if kind == 'mapped' else ''}"
                there = seeded.model_copy(update={"cache_dir": folder})
                run = functools.partial(by_us, candidates, there, facts, fresh(config, facts))
                if kind == "mapped":
                    leave_a_map(candidates, config.model_copy(update={"cache_dir": folder}))
            row["val_accuracy"][kind], row["seconds"][kind] = timed(run)
        show(row)


def show(row: dict) -> None:
    seconds, accuracy = row["seconds"], {kind: statistics.fmean(values) for kind, values in row["val_accuracy"].items()}
    stores = STORES[row["backbone"]]
    ours = "  ".join(f"{kind} {seconds[kind]:5.1f} s ({seconds['plain'] / seconds[kind]:.1f}x)" for kind in stores)
    print(
        f"{row['backbone']:<18} {row['list']:<16} seed {row['seed']}  plain {seconds['plain']:6.1f} s  {ours}  "
        f"mean val_accuracy plain {accuracy['plain']:.4f} ours {accuracy['cold']:.4f}",
        flush=True,
    )


def summary(rows: Sequence[dict]) -> list[dict]:
    """For each backbone and list the ratios of summed seconds, and the mean difference of val_accuracy."""
    found = []
    for backbone, name in dict.fromkeys((row["backbone"], row["list"]) for row in rows):
        mine = [row for row in rows if (row["backbone"], row["list"]) == (backbone, name)]
        kinds = [kind for kind in STORES[backbone] if all(kind in row["seconds"] for row in mine)]
        total = {kind: sum(row["seconds"][kind] for row in mine) for kind in ("plain", *kinds)}
        gaps = [
            ours - theirs
            for row in mine
            for ours, theirs in zip(row["val_accuracy"]["cold"], row["val_accuracy"]["plain"], strict=True)
        ]
        error = statistics.stdev(gaps) / math.sqrt(len(gaps)) if len(gaps) > 1 else math.nan
        found.append(
            {
                "backbone": backbone,
                "list": name,
                "seeds": len(mine),
                "ratios": {kind: total["plain"] / total[kind] for kind in kinds},
                "accuracy_difference": statistics.fmean(gaps),
                "standard_error": error,
                "trials": len(gaps),
            }
        )
    return found


def draw(found: Sequence[dict], path: Path) -> None:
    """Bars of the ratios, with what was to be reached."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.2), layout="constrained")
    axes = figure.subplots()
    for kind, offset in zip(COLOURS, (-0.27, 0.0, 0.27), strict=True):
        bars = [(place + offset, row) for place, row in enumerate(found) if kind in row["ratios"]]
        ratios = [row["ratios"][kind] for _, row in bars]
        drawn = axes.bar([at for at, _ in bars], ratios, 0.25, color=COLOURS[kind], label=f"store {kind}")
        labels = [f"{ratio:.0f}×" if ratio >= 10 else f"{ratio:.1f}×" for ratio in ratios]
        paper = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}  # a label may lie on the line of its goal
        axes.bar_label(drawn, labels, padding=2, fontsize=8, zorder=4, bbox=paper)
        for at, row in bars:
            axes.plot([at - 0.125, at + 0.125], [GOALS[row["list"]][kind]] * 2, color="black", linewidth=2)
    axes.set_yscale("log")
    axes.set_ylabel("times faster than the plain loop")
    axes.set_xticks(range(len(found)), [f"{row['backbone']}\n{row['list']}" for row in found], fontsize=8)
    axes.plot([], [], color="black", linewidth=2, label="to reach")
    axes.legend(frameon=False)
    axes.margins(y=0.15)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)


def random_weights(folder: Path) -> str:
    """A file of VGG19 with random weights: from here on they are weights like any others."""
    from models.backbones import get_backbone
    from models.build import build_base
    from models.weights.loading import save_backbone_weights

    keras.utils.set_random_seed(0)
    base = build_base(Task(32, 32, 3, 10, "none"), "vgg19", 32)
    path = folder / "vgg19.weights.h5"
    save_backbone_weights(base, get_backbone("vgg19"), path, {"note": "random"})
    return str(path)


@click.command()
@click.option("--data-dir", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True)
@click.option("--go-on", is_flag=True, help="keep the rows that reuse.json has and run only what is missing")
@click.option("--backbones", default="mobilenet_v2_0.35,vgg19", show_default=True)
@click.option("--lists", default=",".join((HEADS, LAST, SPACE)), show_default=True)
def main(data_dir: Path, seeds: int, backbones: str, lists: str, go_on: bool) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    output = Path(__file__).with_suffix(".json")
    rows: list[dict] = json.loads(output.read_text())["rows"] if go_on and output.exists() else []
    with tempfile.TemporaryDirectory() as folder:
        random = random_weights(Path(folder))
        for backbone in backbones.split(","):
            for seed in range(seeds):
                weights = random if backbone == "vgg19" else "pretrained"
                compare(backbone, weights, data_dir, seed, Path(folder) / backbone, lists.split(","), rows)
                result = {"summary": summary(rows), "rows": rows}
                output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
                draw(result["summary"], output.with_suffix(".png"))
    for row in summary(rows):
        ratios = "  ".join(f"{kind} {ratio:.1f}x" for kind, ratio in row["ratios"].items())
        print(
            f"{row['backbone']:<18} {row['list']:<16} {ratios}  "
            f"val_accuracy ours - plain {row['accuracy_difference']:+.4f} +- {row['standard_error']:.4f} "
            f"({row['trials']} trials)"
        )


if __name__ == "__main__":
    main()
