"""The planner with plain Optuna, on a problem whose costs are known."""

import math
import subprocess
import sys
import warnings

import moocore
import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from hpo.search import planner, surrogate
from hpo.search.planner import Lesson, PlannerSampler, View

SPACE = {
    "size": IntDistribution(1, 10),
    "rate": FloatDistribution(1e-5, 1e-1, log=True),
    "kind": CategoricalDistribution(("plain", "clever")),
}
DIRECTIONS = ["maximize", "minimize"]


def look(params):
    return View(params, costs=[params["size"] ** 2])


def accuracy(params):
    """More size is better with less and less effect; 1e-3 is the best rate, and the clever kind helps."""
    off = math.log10(params["rate"]) + 3
    return 1 - 0.6 / params["size"] - 0.05 * off**2 + 0.1 * (params["kind"] == "clever")


def suggest(trial):
    return {
        "size": trial.suggest_int("size", 1, 10),
        "rate": trial.suggest_float("rate", 1e-5, 1e-1, log=True),
        "kind": trial.suggest_categorical("kind", ("plain", "clever")),
    }


def objective(trial):
    params = suggest(trial)
    return accuracy(params), float(params["size"] ** 2)


def run(sampler, n_trials, directions=DIRECTIONS, objective=objective):
    study = optuna.create_study(directions=directions, sampler=sampler)
    study.optimize(objective, n_trials=n_trials)
    return study


def volume(study, best=1.1, largest=100.0):
    points = np.array([[best - trial.values[0], math.log(trial.values[1])] for trial in study.trials])
    return float(moocore.hypervolume(points, ref=[best, math.log(2 * largest)]))


@pytest.mark.slow
def test_it_finds_more_in_25_trials_than_tpe_and_than_chance_in_50():
    """Five seeds each; the median."""
    warnings.simplefilter("ignore")

    def median(make, n_trials):
        return float(np.median([volume(run(make(seed), n_trials)) for seed in range(5)]))

    mine = median(lambda seed: PlannerSampler(SPACE, look, seed=seed), 25)
    assert mine > median(lambda seed: optuna.samplers.RandomSampler(seed=seed), 50)
    assert mine > median(lambda seed: optuna.samplers.TPESampler(seed=seed, multivariate=True), 25)


def test_same_seed_same_proposals():
    found = [[trial.params for trial in run(PlannerSampler(SPACE, look, seed=seed), 9).trials] for seed in (3, 3, 4)]
    assert found[0] == found[1] != found[2]


def test_nothing_is_proposed_twice_until_nothing_is_left():
    space = {"size": IntDistribution(1, 6)}
    study = run(
        PlannerSampler(space, look, seed=0), 6, objective=lambda trial: (0.1, trial.suggest_int("size", 1, 6) ** 2)
    )
    assert sorted(trial.params["size"] for trial in study.trials) == [1, 2, 3, 4, 5, 6]
    run_again = study.ask(space)  # at random
    assert 1 <= run_again.params["size"] <= 6


def test_what_is_not_allowed_is_not_proposed():
    def look_small(params):
        return look(params) if params["size"] <= 4 else None

    study = run(PlannerSampler(SPACE, look_small, seed=0), 12)
    assert max(trial.params["size"] for trial in study.trials) <= 4


def test_what_is_fixed_stays():
    study = run(PlannerSampler(SPACE, look, seed=0, fixed={"size": 3, "kind": "plain"}), 8)
    assert {(trial.params["size"], trial.params["kind"]) for trial in study.trials} == {(3, "plain")}
    assert len({trial.params["rate"] for trial in study.trials}) == 8


def test_what_is_usual_is_among_those_to_choose_from():
    """The only one of them that is not far too expensive."""
    usual = {"size": 7, "rate": 1.25e-3, "kind": "clever"}

    def look_slow(params):
        return View(params, [params["size"] ** 2], seconds=1.0 if params == usual else 1e9)

    study = known_study(*KNOWN)
    study.sampler = PlannerSampler(SPACE, look_slow, seed=0, usual=[usual])
    assert study.ask(SPACE).params == usual


def test_where_nothing_is_allowed_what_is_fixed_stays_all_the_same():
    study = run(PlannerSampler(SPACE, lambda params: None, seed=0, fixed={"size": 3}), 5)
    assert {trial.params["size"] for trial in study.trials} == {3}


def test_hoping_for_luck_is_worth_nothing():
    """Small trials are cheap and all alike but for their luck; of large ones little is known, and they are slow."""

    def look_slow(params):
        return View(params, [params["size"] ** 2], seconds=100.0 if params["size"] == 10 else 1.0)

    luck = (0.0, 0.004, -0.004, 0.002, -0.002, 0.003, -0.003, 0.001)
    tried = [((1, 10 ** -(1.0 + number / 2), "plain"), 0.5 + more) for number, more in enumerate(luck)]
    study = known_study(*tried, ((10, 1e-3, "plain"), 0.505))
    space = SPACE | {"size": CategoricalDistribution((1, 10))}
    sizes = []
    for least in (0.0, 0.01):
        study.sampler = PlannerSampler(space, look_slow, seed=0, fixed={"kind": "plain"}, least=least)
        sizes.append(study.ask(space).params["size"])
        study.tell(study.trials[-1].number, state=TrialState.FAIL)
    assert sizes == [1, 10]


def test_trials_that_failed_teach_nothing():
    proposals = []
    for state in (None, TrialState.FAIL):
        study = known_study(*KNOWN)
        if state:
            params = {"size": 5, "rate": 1e-3, "kind": "plain"}
            study.add_trial(optuna.trial.create_trial(state=state, params=params, distributions=SPACE))
        study.sampler = PlannerSampler(SPACE, look, seed=0)
        proposals.append(study.ask(SPACE).params)
    assert proposals[0] == proposals[1]


@pytest.mark.parametrize("directions", [["maximize"], ["maximize", "maximize"]])
def test_other_studies_are_refused(directions):
    study = optuna.create_study(directions=directions, sampler=PlannerSampler(SPACE, look, seed=0))
    with pytest.raises(ValueError, match="others behind it that are minimised. Received: maximize"):
        study.ask(SPACE)


def test_the_first_objective_may_be_minimised():
    def flipped(trial):
        value, cost = objective(trial)
        return -value, cost

    up = run(PlannerSampler(SPACE, look, seed=0), 8)
    down = run(PlannerSampler(SPACE, look, seed=0), 8, ["minimize", "minimize"], flipped)
    assert [trial.params for trial in up.trials] == [trial.params for trial in down.trials]


def test_what_is_believed_comes_first():
    """Before anything is known, rates are drawn from what is believed of them."""

    def look_sure(params):
        return View(params, [params["size"] ** 2], prior=-((math.log10(params["rate"]) + 2) ** 2) / (2 * 0.1**2))

    rates = [run(PlannerSampler(SPACE, look_sure, seed=seed), 1).trials[0].params["rate"] for seed in range(20)]
    assert np.mean(np.log10(rates)) == pytest.approx(-2, abs=0.1)
    assert np.std(np.log10(rates)) == pytest.approx(0.1, abs=0.05)


def known_study(*rows, running=()):
    """Trials with (size, rate, kind) and a value; those of `running` have none yet."""
    study = optuna.create_study(directions=DIRECTIONS)
    for (size, rate, kind), value in rows:
        params = {"size": size, "rate": rate, "kind": kind}
        values = [value, float(size**2)]
        study.add_trial(optuna.trial.create_trial(params=params, distributions=SPACE, values=values))
    for size, rate, kind in running:
        study.enqueue_trial({"size": size, "rate": rate, "kind": kind})
        suggest(study.ask())
    return study


KNOWN = [((size, 1e-3, "clever"), 0.5 + size / 100) for size in (1, 3, 5, 7, 9)]


def test_those_under_way_are_not_proposed_again_nor_their_like():
    """Of a problem in which the rate plays no part: another rate at the same size would add nothing."""
    known = [((size, rate, "clever"), 1 - 0.6 / size) for size in (1, 4, 10) for rate in (1e-4, 1e-3, 1e-2)]

    def sizes(running):
        study = known_study(*known, running=running)
        study.sampler = PlannerSampler(SPACE, look, seed=0, fixed={"kind": "clever"})
        return study.ask(SPACE).params["size"]

    alone = sizes(())
    assert sizes([(alone, 3e-4, "clever")]) != alone


def test_what_takes_long_is_worth_less():
    """Between equals the one that takes a hundredth of the time."""
    study = known_study(*KNOWN, *[((size, 1e-3, "plain"), 0.5 + size / 100) for size in (1, 3, 5, 7, 9)])
    found = []
    for slow in ("plain", "clever"):

        def look_ahead(params, slow=slow):
            return View(params, [params["size"] ** 2], seconds=100.0 if params["kind"] == slow else 1.0)

        study.sampler = PlannerSampler(SPACE, look_ahead, seed=0)
        trial = study.ask(SPACE)
        found.append(trial.params["kind"])
        study.tell(trial, state=TrialState.FAIL)
    assert found == ["clever", "plain"]


def test_trials_that_ended_early_teach_too():
    """All that were stopped at half their training had been plain, and bad: a clever one is proposed."""
    study = known_study(*[((size, 1e-3, "clever"), 0.5 + size / 100) for size in (2, 8)])
    for size in (1, 3, 5, 7, 9):
        params = {"size": size, "rate": 1e-3, "kind": "plain"}
        study.add_trial(
            optuna.trial.create_trial(
                state=TrialState.PRUNED, params=params, distributions=SPACE, user_attrs={"reached": 0.1}
            )
        )

    def lessons(trial):
        if trial.state == TrialState.PRUNED:
            return [Lesson(0.5, trial.user_attrs["reached"])]
        if trial.state != TrialState.COMPLETE:
            return []
        return [Lesson(0.5, trial.values[0] - 0.05), Lesson(1.0, trial.values[0])]

    kinds = []
    for seed in range(5):
        study.sampler = PlannerSampler(SPACE, look, seed=seed, lessons=lessons)
        kinds.append(study.ask(SPACE).params["kind"])
        study.tell(study.trials[-1].number, state=TrialState.FAIL)
    assert kinds == ["clever"] * 5


@pytest.mark.parametrize("n", range(0, 400, 7))
def test_scales_are_fitted_anew_when_there_are_a_tenth_more_lessons(n):
    many = planner.fitted_to(n)
    assert many == n if n <= planner.FITTED_ANEW else n / planner.GROWTH - 1 < many <= n
    assert planner.fitted_to(many) == many


def test_what_is_remembered_changes_no_proposal(monkeypatch):
    """A study that was killed proposes what it would have proposed anyway: also where not every proposal fits anew."""
    for name, value in {"FITTED_ANEW": 8, "MOST_FITTED": 12, "MOST_LESSONS": 16, "LARGE": 10}.items():
        monkeypatch.setattr(planner, name, value)
    warnings.simplefilter("ignore")
    found = []
    for memory in (planner.Memory(), None):
        study = optuna.create_study(directions=DIRECTIONS)
        for number in range(30):
            study.sampler = PlannerSampler(SPACE, look, seed=number, memory=memory)
            study.optimize(objective, n_trials=1)
        found.append([trial.params for trial in study.trials])
    assert found[0] == found[1]


def test_what_is_remembered_of_trials_under_way_changes_no_proposal(monkeypatch):
    """Several at once, half of which is seen before they end."""
    for name, value in {"FITTED_ANEW": 8, "MOST_FITTED": 12, "MOST_LESSONS": 16}.items():
        monkeypatch.setattr(planner, name, value)
    warnings.simplefilter("ignore")

    def lessons(trial):
        half = [Lesson(0.5, trial.user_attrs["half"])] if "half" in trial.user_attrs else []
        return half + ([Lesson(1.0, trial.values[0])] if trial.state == TrialState.COMPLETE else [])

    found = []
    for memory in (planner.Memory(), None):
        study, running = optuna.create_study(directions=DIRECTIONS), []
        for number in range(30):
            study.sampler = PlannerSampler(SPACE, look, seed=number, lessons=lessons, memory=memory)
            running.append(study.ask(SPACE))
            if len(running) == 4:
                study.tell(running[0], objective(running[0]))
                running[1].set_user_attr("half", -accuracy(running[1].params))
                running = [running[2], running[3], running[1]]
        found.append([trial.params for trial in study.trials])
    assert found[0] == found[1]


def test_a_trial_that_was_interrupted_and_tried_again_counts_once(monkeypatch):
    """A large study that was killed proposes what it would have proposed."""
    monkeypatch.setattr(planner, "LARGE", 10)
    warnings.simplefilter("ignore")
    looked = []
    for interrupted in (False, True):
        study = run(PlannerSampler(SPACE, look, seed=0), 9)
        if interrupted:
            again = study.trials[4]
            about = {"params": again.params, "distributions": again.distributions}
            study.add_trial(optuna.trial.create_trial(state=TrialState.FAIL, **about))
        asked = []
        study.sampler = PlannerSampler(SPACE, lambda params, asked=asked: asked.append(params) or look(params), seed=0)
        looked.append((study.ask(SPACE).params, len(asked) - interrupted))
    assert looked[0] == looked[1]


def test_of_what_is_usual_a_large_study_looks_at_some(monkeypatch):
    for name, value in {"LARGE": 10, "LARGE_USUAL": 4}.items():
        monkeypatch.setattr(planner, name, value)
    warnings.simplefilter("ignore")
    usual = [{"size": 1, "rate": 1e-2 + number / 1e4, "kind": "plain"} for number in range(12)]
    asked = []

    def recorded(params):
        asked.append(dict(params))
        return look(params)

    study = run(PlannerSampler(SPACE, look, seed=0), 10)
    looked_at = []
    for seed in range(12):
        asked.clear()
        study.sampler = PlannerSampler(SPACE, recorded, seed=seed, usual=usual)
        study.optimize(objective, n_trials=1)
        looked_at.append([number for number, one in enumerate(usual) if one in asked])
    assert {number for some in looked_at for number in some} == set(range(12))
    assert {len(some) for some in looked_at} == {4}


def test_linear_algebra_has_one_thread():
    from threadpoolctl import threadpool_info

    with surrogate.one_thread():
        assert {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"} == {1}


def test_it_needs_nothing_of_this_project():
    """But for what lies beside it and is of plain Optuna too."""
    code = (
        "import sys; import hpo.search.planner; "
        "ours = {name for name in sys.modules if name.split('.')[0] in ('hpo', 'models', 'studies', 'datasets')}; "
        "print(sorted(ours))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(
        [
            "hpo",
            "hpo.search",
            *(f"hpo.search.{name}" for name in ("encoding", "improvement", "planner", "scales", "surrogate")),
        ]
    )
