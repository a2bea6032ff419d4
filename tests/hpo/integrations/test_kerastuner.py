"""The oracle that asks Optuna: what KerasTuner expects of an oracle, and what Optuna's study has of it."""

from __future__ import annotations

import os
import pickle
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np
import optuna
import pytest
from keras_tuner.engine.base_tuner import BaseTuner
from keras_tuner.engine.trial import Trial
from optuna.trial import TrialState

from hpo.integrations.kerastuner import OptunaOracle

ROOT = Path(__file__).parents[3]
SCORE = keras_tuner.Objective("score", "max")
pytestmark = pytest.mark.filterwarnings("ignore:currentThread:DeprecationWarning", "ignore:getName:DeprecationWarning")


def space() -> keras_tuner.HyperParameters:
    """All kinds of hyperparameters."""
    found = keras_tuner.HyperParameters()
    found.Choice("a", [1, 2])
    found.Int("b", 3, 10)
    found.Float("c", 0, 1, step=0.1)
    found.Fixed("d", 7)
    found.Boolean("e")
    found.Float("f", 1e-4, 1e-1, sampling="log")
    return found


def conditional() -> keras_tuner.HyperParameters:
    """One name under two conditions."""
    found = keras_tuner.HyperParameters()
    found.Choice("kind", ["small", "large"])
    for kind, low in (("small", 1), ("large", 10)):
        with found.conditional_scope("kind", [kind]):
            found.Int("width", low, 4 * low)
    return found


def make(folder: Path, objective: Any = SCORE, **settings: Any) -> OptunaOracle:
    settings = {"hyperparameters": space(), "max_trials": 20, "seed": 3} | settings
    oracle = OptunaOracle(objective, **settings)
    oracle.verbose = 0
    oracle._set_project_dir(folder, "project")
    return oracle


def end(oracle: OptunaOracle, trial: Trial, status: str = "COMPLETED", **metrics: float) -> None:
    if metrics:
        oracle.update_trial(trial.trial_id, metrics)
    trial.status = status
    oracle.end_trial(trial)


def states(oracle: OptunaOracle) -> list[str]:
    return [trial.state.name for trial in oracle.study.get_trials()]


def test_values_of_every_active_hyperparameter(tmp_path: Path) -> None:
    oracle = make(tmp_path)
    trial = oracle.create_trial("tuner")
    assert trial.status == "RUNNING"
    values = trial.hyperparameters.values
    assert set(values) == set("abcdef") and values["d"] == 7
    (kept,) = oracle.study.get_trials()
    assert kept.user_attrs == {"hyperparameters": values, "trial_id": trial.trial_id}
    assert kept.params == {name: value for name, value in values.items() if name != "d"}


def test_the_study_is_told(tmp_path: Path) -> None:
    oracle = make(tmp_path)
    for number in range(3):
        end(oracle, oracle.create_trial("tuner"), score=number / 10)
    assert [trial.value for trial in oracle.study.get_trials()] == [0.0, 0.1, 0.2]
    assert oracle.study.best_value == oracle.get_best_trials()[0].score == 0.2
    url = f"sqlite:///{tmp_path}/project/optuna.db"
    assert optuna.load_study(study_name="project", storage=url).best_value == 0.2


def test_failed_trials_and_numbers_that_are_none(tmp_path: Path) -> None:
    oracle = make(tmp_path, max_retries_per_trial=1)
    first = oracle.create_trial("tuner")
    end(oracle, first, "INVALID")
    assert states(oracle) == ["RUNNING"]
    again = oracle.create_trial("tuner")
    assert again.trial_id == first.trial_id
    end(oracle, again, "INVALID")
    end(oracle, oracle.create_trial("tuner"), "FAILED")
    end(oracle, oracle.create_trial("tuner"), score=0.5)
    assert states(oracle) == ["FAIL", "FAIL", "COMPLETE"]
    undefined = oracle.create_trial("tuner")
    end(oracle, undefined, score=float("nan"))
    assert oracle.trials[undefined.trial_id].status == "INVALID"
    assert states(oracle)[-1] == "RUNNING"  # it is tried once more


def test_the_study_hears_of_the_failure_that_ends_the_search(tmp_path: Path) -> None:
    oracle = make(tmp_path, max_consecutive_failed_trials=2)
    end(oracle, oracle.create_trial("tuner"), "FAILED")
    with pytest.raises(RuntimeError, match="consecutive failures"):
        end(oracle, oracle.create_trial("tuner"), "FAILED")
    assert states(oracle) == ["FAIL", "FAIL"]


def test_trials_side_by_side_have_values_of_their_own(tmp_path: Path) -> None:
    oracle = make(tmp_path)
    threads = [threading.Thread(target=oracle.create_trial, args=(f"tuner{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    values = [tuple(trial.hyperparameters.values.values()) for trial in oracle.ongoing_trials.values()]
    assert len(set(values)) == 4 and states(oracle) == ["RUNNING"] * 4
    for number, trial in enumerate(list(oracle.ongoing_trials.values())):
        end(oracle, trial, score=float(number))
    assert states(oracle) == ["COMPLETE"] * 4


def test_saved_and_reloaded_it_goes_on(tmp_path: Path) -> None:
    oracle = make(tmp_path)
    for _ in range(3):
        end(oracle, oracle.create_trial("tuner"), score=1.0)
    lost = oracle.create_trial("tuner")
    again = make(tmp_path)
    again.reload()
    retried = again.create_trial("tuner")
    assert retried.trial_id == lost.trial_id
    assert retried.hyperparameters.values == lost.hyperparameters.values
    end(again, retried, score=2.0)
    end(again, again.create_trial("tuner"), score=1.0)
    assert len(again.trials) == 5
    assert [trial.value for trial in again.study.get_trials()] == [1.0, 1.0, 1.0, 2.0, 1.0]


def test_who_only_looks_leaves_trials_that_run_alone(tmp_path: Path) -> None:
    oracle = make(tmp_path)
    end(oracle, oracle.create_trial("tuner"), score=1.0)
    looking = make(tmp_path)
    looking.reload()
    trial = oracle.create_trial("tuner")
    assert looking.study.best_value == 1.0
    assert [each.score for each in looking.get_best_trials()] == [1.0]
    end(oracle, trial, score=2.0)
    assert [each.value for each in oracle.study.get_trials()] == [1.0, 2.0]


def test_a_trial_that_failed_and_is_tried_again_counts(tmp_path: Path) -> None:
    oracle = make(tmp_path, max_consecutive_failed_trials=1)
    with pytest.raises(RuntimeError):
        end(oracle, oracle.create_trial("tuner"), "FAILED")
    again = make(tmp_path)
    again.reload()  # KerasTuner had raised before it kept the failure
    retried = again.create_trial("tuner")
    assert retried.trial_id == "00"
    end(again, retried, score=0.5)
    assert states(again) == ["FAIL", "COMPLETE"]
    assert again.study.best_trial.user_attrs["trial_id"] == "00"


def test_other_objectives_are_refused_in_one_line(tmp_path: Path) -> None:
    oracle = make(tmp_path)
    end(oracle, oracle.create_trial("tuner"), score=1.0)
    for objective in ([SCORE, keras_tuner.Objective("seconds", "min")], keras_tuner.Objective("score", "min")):
        again = make(tmp_path, objective)
        again.reload()
        with pytest.raises(ValueError, match="the objectives must be those that project project was begun with, score"):
            again.create_trial("tuner")


def test_the_front_comes_first_after_a_reload_too(tmp_path: Path) -> None:
    objectives = [SCORE, keras_tuner.Objective("seconds", "min")]
    oracle = make(tmp_path, objectives)
    for score, seconds in ((0.5, 1.0), (0.9, 9.0), (0.4, 2.0)):
        end(oracle, oracle.create_trial("tuner"), score=score, seconds=seconds, multi_objective=seconds - score)
    again = make(tmp_path, objectives)
    again.reload()
    assert [trial.metrics.get_best_value("score") for trial in again.get_best_trials(3)] == [0.5, 0.9, 0.4]


def test_a_grid_that_is_tried_out_ends_the_search(tmp_path: Path) -> None:
    found = keras_tuner.HyperParameters()
    found.Choice("a", [1, 2, 3])
    sampler = optuna.samplers.GridSampler({"a": [1, 2, 3]})
    oracle = make(tmp_path, hyperparameters=found, sampler=sampler)
    values = []
    while (trial := oracle.create_trial("tuner")).status == "RUNNING":
        values.append(trial.hyperparameters.values["a"])
        end(oracle, trial, score=1.0)
    assert sorted(values) == [1, 2, 3] and states(oracle) == ["COMPLETE"] * 3


def test_hyperparameters_can_be_pickled(tmp_path: Path) -> None:
    oracle = make(tmp_path)
    end(oracle, oracle.create_trial("tuner"), score=1.0)
    own = oracle.get_best_trials()[0].hyperparameters
    assert pickle.loads(pickle.dumps(own)).values == own.values


def test_numbers_that_are_not_finite_are_no_results(tmp_path: Path) -> None:
    oracle = make(tmp_path)
    end(oracle, oracle.create_trial("tuner"), score=float("inf"))
    assert states(oracle) == ["FAIL"]


def test_a_killed_search_in_a_storage_of_its_own_is_gone_on_with(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/all.db"
    make(tmp_path, storage=url).create_trial("tuner")  # and killed: KerasTuner begins anew
    again = make(tmp_path, storage=url)
    end(again, again.create_trial("tuner"), score=1.0)
    assert again.study.study_name == "project" and states(again) == ["FAIL", "COMPLETE"]


def test_what_was_asked_for_and_never_begun_is_let_go(tmp_path: Path) -> None:
    oracle = make(tmp_path)
    end(oracle, oracle.create_trial("tuner"), score=1.0)
    oracle.study.ask()  # and the process is killed here
    again = make(tmp_path)
    again.reload()
    end(again, again.create_trial("tuner"), score=2.0)
    assert states(again) == ["COMPLETE", "FAIL", "COMPLETE"]


def test_killed_before_the_study_heard_of_it(tmp_path: Path) -> None:
    oracle = make(tmp_path)
    trial = oracle.create_trial("tuner")
    oracle.update_trial(trial.trial_id, {"score": 0.25})
    trial.status = "COMPLETED"
    keras_tuner.Oracle.end_trial(oracle, trial)  # and killed here
    assert states(oracle) == ["RUNNING"]
    again = make(tmp_path)
    again.reload()
    retried = again.create_trial("tuner")
    assert retried.trial_id == trial.trial_id
    end(again, retried, score=0.5)
    assert [trial.value for trial in again.study.get_trials()] == [retried.score]


def test_a_project_of_another_oracle_is_learned_from(tmp_path: Path) -> None:
    other = keras_tuner.oracles.RandomSearchOracle(SCORE, max_trials=20, hyperparameters=space(), seed=3)
    other.verbose = 0
    other._set_project_dir(tmp_path, "project")
    for number in range(3):
        trial = other.create_trial("tuner")
        other.update_trial(trial.trial_id, {"score": number})
        trial.status = "COMPLETED"
        other.end_trial(trial)
    other.save()
    oracle = make(tmp_path)
    oracle.reload()
    oracle.create_trial("tuner")
    assert [trial.value for trial in oracle.study.get_trials()] == [0.0, 1.0, 2.0, None]
    for known, trial in zip(other.trials.values(), oracle.study.get_trials(), strict=False):
        assert trial.user_attrs["hyperparameters"] == known.hyperparameters.values


def test_a_database_that_is_gone_is_made_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    oracle = make(tmp_path)
    for _ in range(2):
        end(oracle, oracle.create_trial("tuner"), score=1.0)
    (tmp_path / "project" / "optuna.db").unlink()
    again = make(tmp_path)
    again.reload()
    end(again, again.create_trial("tuner"), score=3.0)
    assert [trial.value for trial in again.study.get_trials()] == [1.0, 1.0, 3.0]
    assert "is made anew of this project's trials" in caplog.text


def test_a_study_of_another_project_is_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    url = f"sqlite:///{tmp_path}/all.db"
    first, second = (make(tmp_path / name, storage=url, study_name="mine") for name in ("one", "two"))
    end(first, first.create_trial("tuner"), score=1.0)
    end(second, second.create_trial("tuner"), score=2.0)
    assert (first.study.study_name, second.study.study_name) == ("mine", "mine-2")
    assert len(first.study.get_trials()) == 1
    assert "study mine is another project's: this one is mine-2" in caplog.text
    again = make(tmp_path / "two", storage=url, study_name="mine")
    again.reload()
    assert again.study.study_name == "mine-2"


def test_hyperparameters_that_come_later_are_searched(tmp_path: Path) -> None:
    oracle = make(tmp_path)
    trial = oracle.create_trial("tuner")
    assert trial.hyperparameters.Int("late", 1, 100, default=5) == 5
    end(oracle, trial, score=1.0)
    values = [oracle.create_trial(f"tuner{number}").hyperparameters.values["late"] for number in range(3)]
    assert len(set(values)) > 1
    assert oracle.trials[trial.trial_id].hyperparameters.values["late"] == 5
    assert oracle.study.get_trials()[0].user_attrs["hyperparameters"]["late"] == 5


def test_conditions_are_respected(tmp_path: Path) -> None:
    oracle = make(tmp_path, hyperparameters=conditional())
    seen = set()
    for _ in range(12):
        trial = oracle.create_trial("tuner")
        values = trial.hyperparameters.values
        assert values["width"] in (range(1, 5) if values["kind"] == "small" else range(10, 41))
        seen.add(values["kind"])
        end(oracle, trial, score=float(values["width"]))
    assert seen == {"small", "large"}
    names = {name for trial in oracle.study.get_trials() for name in trial.params}
    assert names == {"kind", "width (kind = small)", "width (kind = large)"}


def test_the_values_are_those_that_the_study_has(tmp_path: Path) -> None:
    """Also where KerasTuner would draw another one, for a name under several conditions."""
    oracle = make(tmp_path, hyperparameters=conditional())
    for _ in range(6):
        trial = oracle.create_trial("tuner")
        end(oracle, trial, score=1.0)
        values = trial.hyperparameters.values
        kept = oracle.study.get_trials()[-1]
        assert kept.params == {"kind": values["kind"], f"width (kind = {values['kind']})": values["width"]}


def test_a_small_space_is_tried_out_and_then_the_search_ends(tmp_path: Path) -> None:
    found = keras_tuner.HyperParameters()
    found.Boolean("one")
    found.Boolean("other")
    oracle = make(tmp_path, hyperparameters=found)
    values = []
    while (trial := oracle.create_trial("tuner")).status == "RUNNING":
        values.append(tuple(trial.hyperparameters.values.values()))
        end(oracle, trial, score=1.0)
    assert sorted(values) == [(False, False), (False, True), (True, False), (True, True)]
    assert len(oracle.trials) == states(oracle).count("COMPLETE") == 4
    duplicates = [trial for trial in oracle.study.get_trials() if trial.state == TrialState.FAIL]
    assert {trial.user_attrs["duplicate_of"] for trial in duplicates} <= set(oracle.trials)


def test_several_objectives_have_a_front(tmp_path: Path) -> None:
    oracle = make(tmp_path, [SCORE, keras_tuner.Objective("seconds", "min")])
    for score, seconds in ((0.5, 1.0), (0.9, 9.0), (0.4, 2.0), (0.7, 3.0)):
        end(oracle, oracle.create_trial("tuner"), score=score, seconds=seconds, multi_objective=seconds - score)
    assert [d.name for d in oracle.study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert oracle.study.metric_names == ["score", "seconds"]
    assert [trial.values for trial in oracle.study.best_trials] == [[0.5, 1.0], [0.9, 9.0], [0.7, 3.0]]
    best = [trial.metrics.get_best_value("score") for trial in oracle.get_best_trials(4)]
    assert best == [0.5, 0.7, 0.9, 0.4]  # the dominated one last, although its sum is the second best


def test_the_step_that_scores_a_trial_is_told(tmp_path: Path) -> None:
    oracle = make(tmp_path, [SCORE, keras_tuner.Objective("seconds", "min")])
    trial = oracle.create_trial("tuner")
    for step, (score, seconds) in enumerate(((0.1, 1.0), (0.9, 1.2), (0.2, 5.0))):
        oracle.update_trial(
            trial.trial_id, {"score": score, "seconds": seconds, "multi_objective": seconds - score}, step
        )
    trial.status = "COMPLETED"
    oracle.end_trial(trial)
    assert oracle.study.get_trials()[0].values == [0.9, 1.2]


def test_it_finds_what_optuna_finds(tmp_path: Path) -> None:
    class Polynomial(BaseTuner):
        def run_trial(self, trial: Trial, *_: Any, **__: Any) -> float:
            hp = trial.hyperparameters
            return -(hp["a"] ** 3) + hp["b"] ** 3 + hp["c"] - abs(hp["d"])

    found = keras_tuner.HyperParameters()
    for name in "abcd":
        found.Float(name, -1, 1)
    oracle = OptunaOracle(
        SCORE, max_trials=120, hyperparameters=found, seed=0, storage=optuna.storages.InMemoryStorage()
    )
    oracle.verbose = 0
    Polynomial(oracle=oracle, directory=tmp_path).search(verbose=0)
    assert oracle.get_best_trials()[0].score > 2.5  # of at most 3

    def objective(trial: optuna.Trial) -> float:
        a, b, c, d = (trial.suggest_float(name, -1, 1) for name in "abcd")
        return -(a**3) + b**3 + c - abs(d)

    plain = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0))
    plain.optimize(objective, n_trials=120)
    assert [trial.value for trial in oracle.study.get_trials()] == [trial.value for trial in plain.get_trials()]


def build(hp: keras_tuner.HyperParameters) -> keras.Model:
    """The network of KerasTuner's guide "Getting started", made smaller."""
    model = keras.Sequential([keras.Input((4, 4)), keras.layers.Flatten()])
    for number in range(hp.Int("num_layers", 1, 3)):
        units = hp.Int(f"units_{number}", min_value=4, max_value=16, step=4)
        model.add(keras.layers.Dense(units, activation=hp.Choice("activation", ["relu", "tanh"])))
    if hp.Boolean("dropout"):
        model.add(keras.layers.Dropout(0.25))
    model.add(keras.layers.Dense(3, activation="softmax"))
    rate = hp.Float("lr", min_value=1e-4, max_value=1e-2, sampling="log")
    model.compile(optimizer=keras.optimizers.Adam(rate), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


@pytest.fixture
def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(32, 4, 4)).astype("float32"), rng.integers(0, 3, 32)


@pytest.mark.slow
def test_a_tuner_searches_with_it(tmp_path: Path, data: tuple[np.ndarray, np.ndarray]) -> None:
    def tuner(max_trials: int, overwrite: bool) -> keras_tuner.Tuner:
        oracle = OptunaOracle("val_accuracy", max_trials=max_trials, seed=1)
        place = {"directory": tmp_path, "project_name": "hello", "overwrite": overwrite}
        return keras_tuner.Tuner(oracle=oracle, hypermodel=build, executions_per_trial=2, **place)

    x, y = data
    for max_trials, overwrite in ((2, True), (3, False), (2, True)):
        own = tuner(max_trials, overwrite)
        own.search(x, y, epochs=2, validation_data=(x, y), verbose=0)
        trials = own.oracle.study.get_trials()
        assert [trial.state.name for trial in trials] == ["COMPLETE"] * max_trials
        assert max(trial.value for trial in trials) == pytest.approx(own.oracle.get_best_trials()[0].score)
        assert own.get_best_models()[0].predict(x, verbose=0).shape == (32, 3)
        assert own.get_best_hyperparameters()[0].values["num_layers"] in (1, 2, 3)


@pytest.mark.slow
def test_the_example_of_the_docs(
    tmp_path: Path, data: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (ROOT / "docs" / "kerastuner.md").read_text()
    example = re.search(r"## Optuna under.*?```python\n(.*?)```", page, re.DOTALL)
    assert example is not None
    monkeypatch.chdir(tmp_path)
    text = example[1].replace("max_trials=50", "max_trials=2").replace("epochs=5", "epochs=1, verbose=0")
    x, y = data
    scope: dict[str, Any] = {"build_model": build, "x": x, "y": y, "x_val": x, "y_val": y, "__name__": "example"}
    exec(compile(text, "example", "exec"), scope)
    study = scope["oracle"].study
    assert study.metric_names == ["val_accuracy", "seconds"]
    assert [trial.state.name for trial in study.get_trials()] == ["COMPLETE"] * 2
    assert all(trial.values[1] > 0 for trial in study.get_trials())


SCRIPT = """
import sys, time, keras_tuner, optuna
from keras_tuner.engine.base_tuner import BaseTuner
from hpo.integrations.kerastuner import OptunaOracle

class Slow(BaseTuner):
    def run_trial(self, trial, *args, **settings):
        print("begun", trial.trial_id, flush=True)
        time.sleep(float(sys.argv[1]))
        return trial.hyperparameters["a"]

hp = keras_tuner.HyperParameters()
hp.Float("a", 0, 1)
oracle = OptunaOracle(keras_tuner.Objective("score", "max"), max_trials=4, hyperparameters=hp, seed=0)
Slow(oracle=oracle, directory=".").search(verbose=0)
"""


@pytest.mark.slow
def test_killed_it_goes_on_with_the_same_code(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    words: Callable[[str], list[str]] = lambda seconds: [sys.executable, "script.py", seconds]  # noqa: E731
    process = subprocess.Popen(words("60"), cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("begun"):
            break
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done = subprocess.run(words("0"), cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    begun = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("begun")]
    assert begun == ["0", "1", "2", "3"]
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{tmp_path}/untitled_project/optuna.db")
    lost, *trials = study.get_trials()  # KerasTuner keeps nothing of a search before its first trial ends
    assert (lost.state.name, [trial.state.name for trial in trials]) == ("FAIL", ["COMPLETE"] * 4)
    assert [trial.value for trial in trials] == [trial.params["a"] for trial in trials]
