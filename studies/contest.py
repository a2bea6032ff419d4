"""Which of the models that studies are compared by differ on the test pictures, and how sure their scores are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from studies.comparison import Row, Studied
from studies.difference import Difference, Verdict, accuracy_interval, compare_all, graded, in_words, pool_seeds
from studies.finals import FinalModel, Guesses
from studies.macro import MACRO, by_picture

METHOD = (
    "Differences of test accuracy are on the same pictures, with 95 % intervals over pictures and seeds, or over "
    "pictures alone where there is one training run of each. How far seeds matter is pooled over the models compared "
    "here; the interval of a model's own score pools over its study. A difference is significant where p, corrected by "
    "Holm's method for all pairs, is at most 0.05; intervals are those of each pair by itself, so one that barely "
    "leaves out 0 need not be significant."
)


@dataclass(frozen=True)
class Pair:
    """Two rows by their places in the table, the more accurate one first, and its accuracy minus the other's."""

    first: int
    second: int
    difference: Difference


@dataclass(frozen=True)
class Contest:
    """What the predictions of the rows say.

    Attributes:
        order: places of the rows whose predictions are there, from the most to the least accurate.
        pairs: every two of them, in that order.
        intervals: by place and name of `studies.macro.MACRO`, 95 %, over pictures and seeds.
    """

    order: tuple[int, ...]
    pairs: tuple[Pair, ...]
    intervals: Mapping[int, Mapping[str, tuple[float, float]]]


def contest(studies: Sequence[Studied], rows: Sequence[Row]) -> Contest:
    """Compare the rows whose runs all have predictions, of the same test pictures."""
    by_name = {study.name: study for study in studies}
    known: dict[int, list[Guesses]] = {}
    for place, row in enumerate(rows):
        own = _guesses(by_name[row.study], row.final)
        if own and all(np.array_equal(one.labels, _labels(known, own)) for one in own):
            known[place] = own
    places = sorted(known, key=lambda place: -float(np.mean([one.right.mean() for one in known[place]])))
    models = [graded(np.stack([one.right for one in known[place]])) for place in places]
    every = compare_all(models, pool_seeds(models))
    pairs = [Pair(places[i], places[j], one) for (i, j), one in every.items() if i < j]
    unsure = {study.name: _intervals(study) for study in studies}
    intervals = {
        place: unsure[row.study][row.final.label]
        for place, row in enumerate(rows)
        if row.final and row.final.label in unsure[row.study]
    }
    return Contest(tuple(places), tuple(pairs), intervals)


def _labels(known: Mapping[int, list[Guesses]], own: list[Guesses]) -> np.ndarray:
    """The classes of the pictures that everything is compared on: those of the first row that has some."""
    return next(iter(known.values()), own)[0].labels


def _guesses(study: Studied, model: FinalModel | None) -> list[Guesses]:
    """Of all runs of a model; none if one is missing."""
    found = [study.guesses.get((run.label, run.seed)) for run in model.runs] if model else []
    own = [one for one in found if one is not None]
    return own if len(own) == len(found) else []


def _intervals(study: Studied) -> dict[str, dict[str, tuple[float, float]]]:
    """By label and score; seeds are pooled over the models of the study, as in the interval of its test accuracy."""
    found: dict[str, dict[str, tuple[float, float]]] = {}
    values = {}
    for model in study.finals:
        if own := _guesses(study, model):
            values[model.label] = [by_picture(one, len(model.runs[0].scores.support)) for one in own]
    for name in MACRO:
        models = {label: graded(np.stack([one[name] for one in runs])) for label, runs in values.items()}
        seeds = pool_seeds(list(models.values()))
        for label, each in models.items():
            found.setdefault(label, {})[name] = accuracy_interval(each, seeds)
    return found


def score(row: Row, place: int, found: Contest, name: str) -> tuple[float, float | None, float | None] | None:
    """A macro score of a row with its interval, None where predictions are missing; None without test results."""
    mean = row.final.mean(name) if row.final else None
    if mean is None:
        return None
    return mean, *found.intervals.get(place, {}).get(name, (None, None))


def verdicts(rows: Sequence[Row], found: Contest) -> tuple[str, ...]:
    """A sentence on each model beside the most accurate one."""
    if len(found.order) < 2:
        return ()
    best, others = found.order[0], found.order[1:]
    to_best = {pair.second: pair.difference.turned() for pair in found.pairs if pair.first == best}
    return tuple(f"{rows[place].name} is {in_words(to_best[place], rows[best].name)}." for place in others)


def tally(pairs: Sequence[Pair]) -> str:
    """How many differences of two models are significant, as a sentence; nothing without a difference."""
    if not pairs:
        return ""
    n, differ = len(pairs), sum(pair.difference.differs for pair in pairs)
    if all(pair.difference.verdict is Verdict.FEW_SEEDS for pair in pairs):
        return "With one training run of each model there are too few seeds to say which differences are significant."
    if n == 1:
        return f"The difference between the two models is {'' if differ else 'not '}significant."
    between = "differences between the models"
    if differ in (0, n):
        return f"All {n} {between} are significant." if differ else f"None of the {n} {between} is significant."
    return f"Of the {n} {between} {differ} {'is' if differ == 1 else 'are'} significant."


def missing(studies: Sequence[Studied], rows: Sequence[Row], found: Contest) -> tuple[str, ...]:
    """Which rows have no test results, or none that can be compared, and what brings them."""
    seeds = max((len(model.runs) for study in studies for model in study.finals), default=0)
    said = []
    for name in dict.fromkeys(row.study for row in rows if row.final is None):
        lacking = [row for row in rows if row.study == name and row.final is None]
        numbers = [str(row.record.number) for row in lacking if row.record and not row.candidate.linear_probe]
        code = next(study.fingerprint.code_words for study in studies if study.name == name)
        command = f"python -m hpo.evaluate {name}{code}"
        if numbers:  # they need not be on the front, which is what is evaluated without
            command += f" --trials {','.join(numbers)}"
        command += f" --seeds {seeds}" if seeds > 1 else ""  # as many as what it will stand beside
        models = " and ".join(row.name for row in lacking)
        verb = "has" if len(lacking) == 1 else "have"
        said.append(f"{models} {verb} no test results yet: `{command}` makes them.")
    for place, row in enumerate(rows):
        if row.final is not None and place not in found.order:
            said.append(
                f"{row.name} cannot be compared on the test pictures: its predictions are missing, damaged, or of "
                "other pictures."
            )
    return tuple(said)
