"""What the intervals and tests of final models are worth: a simulation in which the truth is known.

    PYTHONPATH=. python benchmarks/model_comparison.py

Models of 2, 3 or 5 training runs are tested on 200, 1,000 or 10,000 pictures. A run has a picture right where a sum of
normal effects is above 0: the picture's difficulty (shared by all models), what the model makes of the picture, what
its seed makes of the picture, and its seed by itself. Counted are false alarms (a model called worse that is not),
power (the one that is worse called so), coverage and width of the intervals, beside those of version 0.2: Student's t
over the seeds and the normal interval over the pictures in quadrature, models "tied" where these overlap. All cells of
one repetition share their draws. Prints tables in Markdown, writes model_comparison.json beside this file.
"""

import itertools
import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import click
import numpy as np
from scipy import special

from studies.difference import Verdict, accuracy_interval, compare_all, graded, pool_seeds

RUNS, PICTURES, MODELS = (2, 3, 5), (200, 1000, 10_000), (2, 5)
SHARED, OWN, MIXED = 0.65, 0.10, 0.25  # of the variance of a picture: for all models, for one, for one seed of it
OLD_QUANTILE = {runs: float(special.stdtrit(runs - 1, 0.975)) for runs in RUNS}


@dataclass(frozen=True)
class Case:
    """Models of one accuracy, the last of them less accurate by `gap_points`.

    `seed_points` is the standard deviation over seeds of the true accuracy, `last_seed_points` that of the last model.
    """

    accuracy: float
    seed_points: float
    last_seed_points: float
    gap_points: float

    def truth(self, n_models: int) -> list[float]:
        """The accuracy of each model over all pictures and seeds."""
        return [self.accuracy] * (n_models - 1) + [self.accuracy - self.gap_points / 100]

    def seed_effects(self, n_models: int) -> np.ndarray:
        """(models, 1, 1): the standard deviations in units of the effects of pictures, by their density."""
        density = np.exp(-(special.ndtri(self.accuracy) ** 2) / 2) / math.sqrt(2 * math.pi)
        points = [self.seed_points] * (n_models - 1) + [self.last_seed_points]
        return np.array(points)[:, None, None] / 100 / density


CASES = (
    Case(0.85, 0.0, 0.0, 2.0),
    Case(0.85, 0.5, 0.5, 2.0),
    Case(0.85, 1.0, 1.0, 4.0),
    Case(0.85, 0.5, 2.0, 4.0),
    Case(0.99, 0.3, 0.3, 1.0),
)


def draw(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Effects of pictures (models, runs, n) and of seeds alone (models, runs, 1), for the most of all."""
    m, k = max(MODELS), max(RUNS)

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, dtype="float32")

    pictures = math.sqrt(SHARED) * normal(n) + math.sqrt(OWN) * normal(m, 1, n) + math.sqrt(MIXED) * normal(m, k, n)
    return pictures, normal(m, k, 1)


def look(answers: np.ndarray, truth: Sequence[float]) -> dict[str, float]:
    """One repetition: what is said of models from (models, runs, n) bool, and whether it is true."""
    models = [graded(right) for right in answers]
    order = sorted(range(len(models)), key=lambda place: -models[place].accuracy)
    seeds = pool_seeds(models)
    every = compare_all(models, seeds)
    called = [i for i in order[1:] if every[i, order[0]].verdict == Verdict.WORSE]
    old = [old_interval(right) for right in answers]
    old_called = [i for i in order[1:] if old[i][1] < old[order[0]][0]]
    low, high = accuracy_interval(models[0], seeds)
    pair, gap = every[0, len(models) - 1], truth[0] - truth[-1]
    return {
        "false": any(truth[i] >= truth[order[0]] for i in called),
        "found": len(models) - 1 in called,
        "planned": pair.p <= 0.05,
        "pair_covered": pair.low <= gap <= pair.high,
        "pair_points": 100 * (pair.high - pair.low),
        "covered": low <= truth[0] <= high,
        "points": 100 * (high - low),
        "old_false": any(truth[i] >= truth[order[0]] for i in old_called),
        "old_found": len(models) - 1 in old_called,
        "old_covered": old[0][0] <= truth[0] <= old[0][1],
        "old_points": 100 * (old[0][1] - old[0][0]),
    }


def old_interval(right: np.ndarray) -> tuple[float, float]:
    """Of version 0.2, from (runs, n) bool."""
    runs, n = right.shape
    mean, centre = right.mean(), (right.mean() * n + 2) / (n + 4)
    by_seed = OLD_QUANTILE[runs] * right.mean(1).std(ddof=1) / math.sqrt(runs)
    reach = math.hypot(by_seed, 1.96 * math.sqrt(centre * (1 - centre) / (n + 4)))
    return max(0.0, mean - reach), min(1.0, mean + reach)


def answers(case: Case, n_models: int, pictures: np.ndarray, of_seeds: np.ndarray) -> np.ndarray:
    """(models, runs, n) bool: what the runs have right, from what `draw` gives."""
    effects = case.seed_effects(n_models)
    centres = special.ndtri(case.truth(n_models))[:, None, None] * np.sqrt(1 + effects**2)  # so that the truth is met
    return pictures[:n_models] + (effects * of_seeds[:n_models] + centres).astype("float32") > 0


def simulate(cases: Sequence[Case], times: int, pictures: Sequence[int] = PICTURES, seed: int = 0) -> list[dict]:
    """A row for each case without and with its gap, number of models, runs and pictures: means over `times` draws."""
    rng = np.random.default_rng(seed)
    sums: dict[tuple, dict[str, float]] = {}
    for _ in range(times):
        effects = draw(rng, max(pictures))
        for given, m, is_equal in itertools.product(cases, MODELS, (True, False)):
            case = replace(given, gap_points=0.0) if is_equal else given
            right = answers(case, m, *effects)
            for k, n in itertools.product(RUNS, pictures):
                found = look(right[:, :k, :n], case.truth(m))
                total = sums.setdefault((given, m, is_equal, k, n), dict.fromkeys(found, 0.0))
                for name, value in found.items():
                    total[name] += float(value) / times
    return [
        {**asdict(case), "models": m, "equal": is_equal, "runs": k, "pictures": n, **row}
        for (case, m, is_equal, k, n), row in sums.items()
    ]


TEST = ("false alarms", "planned", "old", "gap", "power", "old")
INTERVALS = ("covered", "points", "old", "points", "difference covered", "points")


def to_markdown(rows: Sequence[dict]) -> str:
    """Two tables, of the test and of the intervals: a row for each case and number of models and of runs."""
    cells: dict[tuple, dict[bool, list[dict]]] = {}
    for row in rows:
        key = (row["accuracy"], row["seed_points"], row["last_seed_points"], row["models"], row["runs"])
        cells.setdefault(key, {True: [], False: []})[row["equal"]].append(row)

    def numbers(own: Sequence[dict], name: str, factor: float = 1) -> str:
        return " / ".join(f"{factor * row[name]:.1f}" for row in own)

    tables = [_head(TEST)], [_head(INTERVALS)]
    for (accuracy, spread, last, models, runs), of in cells.items():
        seeds = f"{spread:.1f}" if spread == last else f"{spread:.1f}, last {last:.1f}"
        head = (f"{100 * accuracy:.0f} %, {seeds}", str(models), str(runs))
        alarms = [numbers(of[True], name, 100) for name in ("false", "planned", "old_false")]
        power = [numbers(of[False], name, 100) for name in ("found", "old_found")]
        tables[0].append(_line(*head, *alarms, f"{of[False][0]['gap_points']:.0f}", *power))
        one = [numbers(of[True], "covered", 100), numbers(of[True], "points")]
        before = [numbers(of[True], "old_covered", 100), numbers(of[True], "old_points")]
        pair = [numbers(of[False], "pair_covered", 100), numbers(of[False], "pair_points")]
        tables[1].append(_line(*head, *one, *before, *pair))
    return "\n\n".join("\n".join(lines) for lines in tables)


def _head(names: Sequence[str]) -> str:
    heads = ("accuracy, seeds", "models", "runs", *names)
    return f"{_line(*heads)}\n{_line(*('---' for _ in heads))}"


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


@click.command()
@click.option("--times", default=2000, help="repetitions")
def main(times: int) -> None:
    begun = time.perf_counter()
    rows = [
        {name: round(value, 4) if isinstance(value, float) else value for name, value in row.items()}
        for row in simulate(CASES, times)
    ]
    path = Path(__file__).with_suffix(".json")
    path.write_text(json.dumps({"times": times, "seconds": round(time.perf_counter() - begun), "rows": rows}, indent=1))
    print(to_markdown(rows))


if __name__ == "__main__":
    main()
