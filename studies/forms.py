"""Forms of final models, each as trained and as it is deployed: which are on the front, which is a model's best.

A form is a final model in one file format. All forms of a model are made from its first training run and answer the
same test pictures, so they are compared in pairs, not by whether their intervals overlap.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import with_config

from studies import dominance, strict
from studies.finals import FinalModel, FinalRun
from studies.outcomes import DeployedLatency, Latency
from studies.paired import Pairs
from studies.paths import StudyFiles, called, write_text

AS_TRAINED = "keras"
BEST_RULE = (
    "Best form of a model: the fastest one that does not lose more than chance explains, that is, the 95 % interval of "
    "its paired difference reaches 0 or lies above it."
)
FRONT_RULE = (
    "Front: no other form on it is at least as accurate and no slower, and better in one of the two; latencies that "
    "differ by no more than their uncertainty are equal."
)
METHOD = (
    "Accuracy is that of the first training run, the one that is exported, with Wilson's 95 % interval over the test "
    "pictures; the difference is to that run as trained, on the same pictures, with Newcombe's interval for paired "
    f"shares (1998, method 10). {FRONT_RULE} {BEST_RULE}"
)


@with_config(strict.STRICT)
@dataclass(frozen=True)
class Form:
    """A final model in one form, in numbers.

    Attributes:
        study_id, label: of the study and the model.
        run: `digest_of` the training run that it was made from.
        format: of `models.export.formats`, or AS_TRAINED.
        pairs: the test pictures, by whether the run as trained (first) and the form (second) have them right.
        same_class: share of the test pictures of which it says what the run as trained says.
        max_difference: largest difference of a probability to the run's.
        bytes: on disk.
        runtime: what ran it, as people read it.
        latency: of one picture; None where that was not measured (yet).
        energy_mj: millijoules a picture, of the whole processor; None without a counter.
    """

    study_id: str
    label: str
    run: str
    format: str
    pairs: Pairs
    same_class: float
    max_difference: float
    bytes: int
    runtime: str
    latency: DeployedLatency | Latency | None
    energy_mj: float | None = None

    @property
    def accuracy(self) -> float:
        """On the test pictures, 0 to 1."""
        return self.pairs.accuracy

    @property
    def latency_ms(self) -> float | None:
        """The latency of record; None where none was measured."""
        return self.latency.record_ms if self.latency else None

    @property
    def deployed(self) -> bool:
        """Whether a runtime that is deployed ran it, and its latency was measured in that."""
        return isinstance(self.latency, DeployedLatency)

    @property
    def quantised(self) -> bool:
        """Whether it computes with integers."""
        return self.format.endswith("int8")


@dataclass(frozen=True)
class Ranked:
    """A form beside all others: whether it is on the front of accuracy and latency, and the best of its model."""

    form: Form
    on_front: bool
    best: bool

    @property
    def at(self) -> tuple[float, float]:
        """Latency and accuracy, of a form that has a latency."""
        assert self.form.latency is not None
        return self.form.latency.record_ms, self.form.accuracy


def digest_of(run: FinalRun) -> str:
    """SHA-256 of a training run's result: what is trained again has another one."""
    return hashlib.sha256(run.to_json().encode()).hexdigest()


def as_trained(run: FinalRun) -> Form:
    """A training run as it is. It has a latency if that of record is one of Keras."""
    n, right = sum(run.scores.support), sum(row[label] for label, row in enumerate(run.scores.confusion))
    latency = run.costs.latency if run.costs else None
    if isinstance(latency, DeployedLatency):
        latency = None  # of the same architecture, but not of this form
    return Form(
        study_id=run.study_id,
        label=run.label,
        run=digest_of(run),
        format=AS_TRAINED,
        pairs=Pairs(right, 0, 0, n - right),
        same_class=1.0,
        max_difference=0.0,
        bytes=run.model_bytes,
        runtime=latency.measured_in if latency else "Keras",
        latency=latency,
    )


def read_forms(path: Path, run: FinalRun) -> list[Form]:
    """What was made from a training run, in the order in which that was; nothing if the file is none of ours."""
    try:
        forms = [strict.from_values(Form, values) for values in json.loads(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError, RecursionError):
        return []
    same = (run.study_id, run.label, digest_of(run))
    return [form for form in forms if (form.study_id, form.label, form.run) == same and form.pairs.n > 0]


def write_forms(path: Path, forms: Sequence[Form]) -> None:
    """In one step."""
    write_text(path, json.dumps([strict.to_values(form) for form in forms], indent=1))


def all_forms(models: Sequence[FinalModel], files: StudyFiles) -> list[Ranked]:
    """Of each model that has a deployed form: as trained, and its deployed forms; in the order of the models."""
    forms: list[Form] = []
    for model in models:
        run = model.runs[0]
        made = [form for form in read_forms(files.forms(model.label), run) if form.deployed]
        forms += [as_trained(run), *made] if made else []
    return rank(forms)


def rank(forms: Sequence[Form]) -> list[Ranked]:
    """Each form with its place among all; a form without a latency is on no front. See FRONT_RULE and BEST_RULE.

    Args:
        forms: of one model, one behind the other, the first as trained.
    """
    timed = [(form, form.latency) for form in forms if form.latency is not None]
    points = np.array([[form.accuracy, latency.record_ms] for form, latency in timed]).reshape(-1, 2)
    unsure = np.array([[0.0, latency.uncertainty_ms] for _, latency in timed]).reshape(-1, 2)
    keep = dominance.front(points, unsure, np.array([True, False]))
    front = {id(form) for (form, _), is_member in zip(timed, keep, strict=True) if is_member}
    best = {id(best_of([form for form in forms if form.label == label])) for label in {form.label for form in forms}}
    return [Ranked(form, id(form) in front, id(form) in best) for form in forms]


def best_of(forms: Sequence[Form]) -> Form:
    """The best form of one model, see BEST_RULE; the first, as trained, where all that is faster loses."""
    kept = [form for form in forms if form.latency_ms is not None and not form.pairs.loses]
    return min(kept, key=lambda form: form.latency_ms or 0.0, default=forms[0])


def verdict(form: Form) -> str:
    """A sentence on a form whose accuracy differs from the run as trained by more than chance explains; else nothing.

    `litert-int8 costs trial 7 1.8 points (95 % interval 0.9 to 2.7, the same 2,000 pictures): more than chance
    explains.`
    """
    pairs = form.pairs
    if not (pairs.loses or pairs.gains):
        return ""
    low, high = sorted(abs(end) for end in pairs.difference_interval())
    return (
        f"{form.format} {'costs' if pairs.loses else 'gains'} {called(form.label)} "
        f"{points(abs(pairs.difference))} points (95 % interval {points(low)} to {points(high)}, the same "
        f"{pairs.n:,} pictures): more than chance explains."
    )


def points(share: float) -> str:
    """A share as percentage points; what one decimal would round to 0 keeps its first digit."""
    return f"{100 * share:.1f}" if not 0 < abs(share) < 0.0005 else f"{100 * share:.1g}"


def verdicts(forms: Sequence[Ranked]) -> list[str]:
    """The sentences on all of them."""
    return [words for ranked in forms if (words := verdict(ranked.form))]
