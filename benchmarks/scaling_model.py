"""What a trial would have brought, by a model of a real study: for scaling.py.

    PYTHONPATH=. python benchmarks/scaling_model.py sqlite:///studies.db STUDY

keeps of a study what the model is made of, in scaling_model.json beside this file: its map, what the first look found,
and of each trial its candidate and its curve. The study that is kept there: mobilenet_v2_0.35 on copies of CIFAR-10,
`--train-size 2000 --val-size 1000 --sampler random --trials 100 --timeout 840`.

Latency and FLOPs of a candidate are those of the map, as the planner reads them. By how much the logarithm of a trial's
odds differs from its place's probe is linear in what is known of the candidate, fitted to the study's trials by least
squares. To it comes luck, normally distributed with the median spread that the fit leaves of trials that were trained
to the end: another one for every candidate, but always the same for the same one. Curves have the mean course of the
study's.
"""

import json
import math
import sys
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit, logit

from hpo.config import StudyConfig, make_config
from hpo.search.planning import Outlook
from hpo.search.seeding import usual_rate
from hpo.search.space import make_space
from hpo.worker.facts import Facts
from hpo.worker.job import Job
from models.candidate import Candidate
from studies import strict
from studies.outcomes import Latency, Measurement, Outcome
from studies.paths import write_text
from studies.probes import Map

KEPT = Path(__file__).with_suffix(".json")
PENALTY = 0.3  # of the least squares: few trials, and some of what is known of them hardly differs
OF_A_NORMAL = 1.4826  # its standard deviation for a median distance of 1
LEAST_ACCURACY, MOST_ACCURACY = 0.05, 0.98


@dataclass(frozen=True)
class Reached:
    """A trial of the real study: its best validation accuracy by the end of each epoch, as far as it came."""

    candidate: Candidate
    best: Sequence[float]


@dataclass(frozen=True)
class Real:
    """A real study.

    Attributes:
        facts, found: its first look and its map.
        trials: those that were trained.
        epochs: of a whole trial.
        left: an outcome of it, for what is the same in all of them: such texts have the size that they really have.
    """

    facts: Facts
    found: Map
    trials: Sequence[Reached]
    epochs: int
    left: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path = KEPT) -> "Real":
        """What was kept."""
        values = json.loads(path.read_text(encoding="utf-8"))
        about = {key: tuple(each) if isinstance(each, list) else each for key, each in values["facts"].items()}
        trials = [Reached(Candidate(**each["candidate"]), each["best"]) for each in values["trials"]]
        found = strict.from_values(Map, values["map"])
        return cls(Facts(**about), found, trials, values["epochs"], values["left"])


class TrialModel:
    """Trials of a study like a real one.

    Args:
        real: that one.
        config: of the study whose trials are wanted.
    """

    def __init__(self, real: Real, config: StudyConfig):
        self.real, self._epochs = real, config.epochs
        facts = real.facts
        space = make_space(config, facts.stages, facts.resolutions, facts.class_token)
        self._space, self._outlook = space, Outlook(real.found, space, config, len(facts.class_names))
        x = np.array([self._inputs(each.candidate) for each in real.trials])
        frozen = np.array([self._outlook.place(each.candidate).val_accuracy for each in real.trials])
        y = logit(np.array([self._end_of(each) for each in real.trials])) - logit(frozen)
        self.weights = np.linalg.solve(x.T @ x + PENALTY * np.eye(x.shape[1]), x.T @ y)
        whole = np.array([len(each.best) == real.epochs for each in real.trials])
        self.luck = OF_A_NORMAL * float(np.median(np.abs(y - x @ self.weights)[whole]))

    @cached_property
    def _courses(self) -> dict[bool, np.ndarray]:
        """(epochs,) what has been reached of the end's accuracy, without and with fine-tuning: means."""
        whole = [each for each in self.real.trials if len(each.best) == self.real.epochs]
        return {
            tuned: np.mean(
                [np.array(t.best) / t.best[-1] for t in whole if (t.candidate.unfreeze_depth > 0) == tuned], 0
            )
            for tuned in (False, True)
        }

    def _end_of(self, trial: Reached) -> float:
        """What it had reached, or would have, had it gone on as others did."""
        return float(trial.best[-1] / self._courses[trial.candidate.unfreeze_depth > 0][len(trial.best) - 1])

    def _inputs(self, candidate: Candidate) -> list[float]:
        frozen = self._outlook.place(candidate).val_accuracy
        tuned = float(candidate.unfreeze_depth > 0)
        depth = candidate.unfreeze_depth / self._space.stages_of(candidate.keep_blocks)
        off = float(np.clip(math.log10(candidate.learning_rate / usual_rate(candidate, frozen)), -2, 2))
        hidden = float(candidate.head_width > 0)
        return [
            1.0,
            frozen,
            tuned,
            tuned * frozen,
            tuned * depth,
            off,
            off**2,
            tuned * off**2,
            hidden,
            candidate.dropout,
        ]

    def accuracy(self, candidate: Candidate) -> float:
        """Of a trial that was trained to its end."""
        luck = np.random.default_rng(zlib.crc32(json.dumps(candidate.to_dict(), sort_keys=True).encode())).normal()
        gain = float(np.dot(self._inputs(candidate), self.weights)) + self.luck * luck
        odds = float(logit(self._outlook.place(candidate).val_accuracy)) + gain
        return float(np.clip(expit(odds), LEAST_ACCURACY, MOST_ACCURACY))

    def curve(self, candidate: Candidate, until: int) -> list[dict[str, float]]:
        """The first epochs of it, in the form of `models.training.recipe.Epoch`."""
        course = self._courses[candidate.unfreeze_depth > 0]
        shares = np.interp(np.linspace(0, 1, self._epochs), np.linspace(0, 1, len(course)), course)
        end, rate = self.accuracy(candidate), candidate.learning_rate
        points = enumerate((shares[:until] * end).tolist(), 1)
        names = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")
        return [dict(zip(names, (n, 1.2345678, value, 1.3456789, value, rate), strict=True)) for n, value in points]

    def measurement(self, candidate: Candidate) -> Measurement:
        """Of an architecture, by the map."""
        ms, flops = self._outlook.costs(candidate)
        like = strict.from_values(Measurement, self.real.left["measurement"])
        latency: Latency = replace(like.latency, ms=ms, high_ms=1.02 * ms)  # type: ignore[call-arg]
        return replace(like, latency_ms=ms, latency=latency, flops=round(flops), macs=round(flops / 2))

    def outcome(self, job: Job, until: int, seconds: float) -> Outcome:
        """Of a trial after an epoch, when it has been trained for so many seconds."""
        curve = self.curve(job.of_backbone, until)
        accuracy = max(point["val_accuracy"] for point in curve)
        best = next(point["epoch"] for point in curve if point["val_accuracy"] == accuracy)
        return Outcome(
            study_id=job.study_id,
            number=job.number,
            candidate=job.candidate,
            measurement=self.measurement(job.of_backbone),
            val_accuracy=accuracy,
            best_epoch=int(best),
            constraints={},
            curve=curve,
            seconds={"train": seconds},
            seed=job.seed,
            machine=job.facts.machine,
            **{key: value for key, value in self.real.left.items() if key != "measurement"},
        )


def keep(url: str, name: str) -> None:
    """Write what the model needs of a study."""
    from hpo.worker.session import prepare
    from studies import attributes
    from studies.probes import map_of
    from studies.records import State, complete, read_study
    from studies.storage import load_study

    study = load_study(url, name)
    config, found, records = make_config(study.user_attrs[attributes.OPTIONS]), map_of(study), read_study(study)
    assert found is not None, "the study has no map"
    trained = [one for one in records if one.state in (State.COMPLETE, State.STOPPED) and one.learning_curve]
    like = max(complete(records), key=lambda record: record.number)
    attrs = study.get_trials(deepcopy=False)[like.number].user_attrs
    names = ("trainable_parameters", "peak_memory_mib", "plan", "val_right", "measurement")
    values = {
        "about": f"{config.backbone} on {found.dataset}, {found.of_train} + {found.of_val}, {len(trained)} trials",
        "epochs": config.epochs,
        "facts": asdict(prepare(config)),
        "left": {each: attrs[each] for each in names},
        "trials": [
            {
                "candidate": one.candidate.to_dict() if one.candidate else {},
                "best": np.maximum.accumulate([point["val_accuracy"] for point in one.learning_curve]).tolist(),
            }
            for one in trained
        ],
        "map": strict.to_values(found),
    }
    write_text(KEPT, json.dumps(values) + "\n")


if __name__ == "__main__":
    keep(*sys.argv[1:])
