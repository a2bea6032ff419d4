"""Four real studies (`benchmarks/four_studies.py`): each sentence of the summary, by numbers that other code computes.

From the predictions that are kept, with scikit-learn, scipy and statsmodels; from the search, with what Optuna's
database has.
"""

import re
import shutil
from base64 import b64decode
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import optuna
import pytest
from scipy import stats
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from studies.difference import compare_all, graded, pool_seeds
from studies.finals import FinalModel
from studies.paths import called
from studies.records import linear_probe
from studies.report.material import Material, read_material
from studies.report.model_tables import classes_table
from studies.report.summary import summary

KEPT = Path(__file__).parent / "data" / "four"
STUDIES = (
    "mobilenet_v2_0.35-cifar10",
    "lenet5_colour-cifar10-scratch",
    "mobilenet_0.25-cats_vs_dogs",
    "mobilenet_0.25-own",
)
NUMBER = r"[-+]?[\d,]+(?:\.\d+)?"


@dataclass(frozen=True)
class Real:
    """A study, what is said of it, and what its runs answered.

    Attributes:
        trials: Optuna's, by number.
        guesses: (n,) class numbers by label and seed.
        labels: (n,) the true ones.
    """

    material: Material
    lines: tuple[str, ...]
    trials: dict[int, optuna.trial.FrozenTrial]
    guesses: dict[str, list[np.ndarray]]
    labels: np.ndarray

    def model(self, number: int) -> FinalModel:
        """The final model of a trial."""
        candidate = next(one.candidate for one in self.material.records if one.number == number)
        return next(model for model in self.material.finals if model.candidate == candidate)

    def accuracy(self, model: FinalModel) -> float:
        """Percent, mean over the runs."""
        return 100 * float(np.mean([accuracy_score(self.labels, one) for one in self.guesses[model.label]]))

    def by_picture(self, model: FinalModel) -> np.ndarray:
        """(n,), percent of the runs that have a picture right."""
        return 100 * np.mean([one == self.labels for one in self.guesses[model.label]], axis=0)

    def right(self, number: int) -> np.ndarray:
        """(n_val,) bool: which validation pictures a trial has right."""
        packed = np.frombuffer(b64decode(self.trials[number].user_attrs["val_right"]), np.uint8)
        return np.unpackbits(packed)[: self.material.fingerprint.val_size].astype(bool)


@pytest.fixture(scope="module", params=STUDIES)
def real(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("four") / "all"
    shutil.copytree(KEPT, folder)
    study = optuna.load_study(study_name=request.param, storage=f"sqlite:///{folder / 'studies.db'}")
    own = folder / "runs" / request.param
    guesses: dict[str, list[np.ndarray]] = {}
    labels = np.empty(0)
    for path in sorted(own.glob("final/*/seed-*/predictions.npz")):
        with np.load(path) as stored:
            guesses.setdefault(path.parent.parent.name, []).append(stored["probabilities"].argmax(1))
            labels = stored["labels"]
    material = read_material(study, own, "")
    return Real(material, summary(material), {one.number: one for one in study.trials}, guesses, labels)


def said(pattern, text):
    """The numbers in the groups of a pattern, which has to be there; words stay words."""
    found = re.search(pattern, text)
    assert found, f"{pattern} is not in: {text}"
    return [float(each.replace(",", "")) if each and re.fullmatch(NUMBER, each) else each for each in found.groups()]


def check_difference(real, first, second, size, low, high, *, differs):
    """The interval is that of the pictures alone or wider, and the words are those of the interval."""
    values = real.by_picture(first) - real.by_picture(second)
    assert size == pytest.approx(real.accuracy(first) - real.accuracy(second), abs=0.051)
    assert low < size < high
    alone = stats.ttest_rel(real.by_picture(first), real.by_picture(second))
    over_pictures = alone.confidence_interval(0.95)
    slack = 0.051 + 100 * 1.5 / len(values)  # rounded, and for few pictures some are added
    assert low <= over_pictures.low + slack and high >= over_pictures.high - slack
    assert high - low < 4 * (over_pictures.high - over_pictures.low) + 12  # and not absurd
    if differs:
        assert not low <= 0 <= high
        assert alone.pvalue < 0.05


def test_the_most_accurate_in_the_search(real):
    n, number, val, n_val, test, n_test, low, high, runs = said(
        rf"Of ({NUMBER}) fully trained candidates, trial (\d+) \(.*\) is the most accurate in the search: it "
        rf"classifies ({NUMBER}) % of the ({NUMBER}) validation pictures correctly, and after retraining ({NUMBER}) % "
        rf"of ({NUMBER}) test pictures \(95 % interval ({NUMBER}) % to ({NUMBER}) %, (\d+) training runs\)\.$",
        real.lines[0],
    )
    done = {k: t for k, t in real.trials.items() if t.state == optuna.trial.TrialState.COMPLETE}
    within = {k: t for k, t in done.items() if all(value <= 0 for value in t.system_attrs.get("constraints", ()))}
    assert (n, runs) == (len(within), 3)
    assert val == pytest.approx(100 * max(trial.values[0] for trial in within.values()), abs=0.051)
    assert val == pytest.approx(100 * real.right(int(number)).mean(), abs=0.051)
    assert (n_val, n_test) == (real.material.fingerprint.val_size, len(real.labels))
    model = real.model(int(number))
    assert test == pytest.approx(real.accuracy(model), abs=0.051)
    every = np.concatenate([one == real.labels for one in real.guesses[model.label]])
    narrowest = proportion_confint(every.sum(), len(every), method="wilson")  # as if no two runs had anything in common
    assert low <= 100 * narrowest[0] + 0.051 and high >= 100 * narrowest[1] - 0.051
    of_one_run = proportion_confint(round(test / 100 * n_test), n_test, method="wilson")
    assert high - low < 300 * (of_one_run[1] - of_one_run[0])  # and not absurd


def test_what_it_gains(real):
    line, best = real.lines[1], max(real.material.complete, key=lambda one: (one.val_accuracy, -one.latency_ms))
    baseline = linear_probe(real.material.records)
    if baseline is None:
        assert "everything was trained from scratch, so there is no pretrained network beside it" in line
        return
    if baseline.number == best.number:
        assert "It is the pretrained baseline itself" in line
        return
    first, second = real.model(best.number), real.model(baseline.number)
    pairs = rf"({NUMBER}) points \(95 % interval ({NUMBER}) to ({NUMBER})\)"
    if "not distinguishable" in line:
        size, low, high = said(f"a difference of {pairs}", line)
        assert low <= 0 <= high
        check_difference(real, first, second, size, low, high, differs=False)
    else:
        verb, size, low, high = said(f"it (gains|loses) {pairs}", line)
        assert verb == "gains"
        check_difference(real, first, second, size, low, high, differs=True)
    flops, latency = said(rf"at ({NUMBER}) times the FLOPs and ({NUMBER}) times the latency", line)
    assert flops == pytest.approx(real.trials[best.number].values[2] / real.trials[baseline.number].values[2], rel=0.06)
    assert latency == pytest.approx(best.latency_ms / baseline.latency_ms, rel=0.06)


def test_what_is_recommended(real):
    """Within its rule, and by no measure beaten by the baseline."""
    line, found = real.lines[2], real.material.recommendation
    (number,) = said(r"trial (\d+) is recommended", line)
    chosen, best, baseline = found.record, found.best, linear_probe(real.material.records)
    assert number == chosen.number
    if len(real.material.front) > 1:
        val, test = said(rf"({NUMBER}) % validation accuracy \(({NUMBER}) % on the test pictures\)", line)
        assert val == pytest.approx(100 * real.trials[chosen.number].values[0], abs=0.051)
        assert test == pytest.approx(real.accuracy(real.model(chosen.number)), abs=0.051)
    factor = 1.0 if real.material.fingerprint.max_latency_ms is None else stats.norm.ppf(0.975)
    for member in real.material.front:
        differences = real.right(best.number).astype(float) - real.right(member.number)
        near = differences.mean() <= factor * stats.sem(differences, ddof=0) + 1e-12
        barred = baseline is not None and member.val_accuracy < baseline.val_accuracy
        if (
            member.latency_ms + member.measurement.latency.uncertainty_ms
            < chosen.latency_ms - chosen.measurement.latency.uncertainty_ms
        ):
            assert not near or barred, f"trial {member.number} is cheaper"
        if member.number == chosen.number:
            assert near and not barred
            if chosen.number != best.number:
                lost, error = said(rf"\(({NUMBER}) percentage points below it, standard error ({NUMBER})", line)
                assert lost == pytest.approx(100 * differences.mean(), abs=0.051)
                assert error == pytest.approx(100 * stats.sem(differences, ddof=0), abs=0.051)
    worse = []
    others = [model for model in real.material.finals if model.label == "baseline" or model is real.material.finals[0]]
    for other in others:
        one = stats.ttest_rel(real.by_picture(real.model(chosen.number)), real.by_picture(other))
        worse.append(one.statistic < 0 and one.pvalue < 0.05)
    if "do not contradict" in line and not any(worse):
        return
    # What pictures alone would call worse, seeds may explain; what is called worse has to be so on the pictures too.
    assert any(worse) or "contradict" not in line
    beaten = [one for one in others if one.label == "baseline"]
    for other in beaten:
        assert real.accuracy(real.model(chosen.number)) >= real.accuracy(other)


def test_what_the_search_took(real):
    ended = [t for t in real.trials.values() if t.state != optuna.trial.TrialState.WAITING]
    (n,) = said(rf"of work for ({NUMBER}) trials", real.lines[3])
    assert n == len(ended)
    stopped = sum(t.state == optuna.trial.TrialState.PRUNED for t in ended)
    early = re.search(r"stopping (\d+) early", real.lines[3])
    assert (int(early[1]) if early else 0) <= stopped


def test_how_the_others_do_beside_the_best(real):
    line, models = real.lines[4], real.material.finals
    ranked = sorted(models, key=lambda model: -real.accuracy(model))
    assert [model.label for model in models] == [model.label for model in ranked]
    n, best = said(r"Of the (\d+) evaluated models, (trial \d+|the baseline) is the most accurate on the test", line)
    assert (n, best) == (len(models), called(models[0].label))
    worse = re.search(r"; beside it, with 95 % intervals, (?:worse: (.*?))?(?:; not|; acc|not )", line)
    for model in models[1:]:
        name = called(model.label)
        how = re.search(rf"{name} (by|at) ({NUMBER}) points \(({NUMBER}) to ({NUMBER})\)", line)
        assert how, name
        size, low, high = (float(each) for each in how.groups()[1:])
        if how[1] == "by":
            assert worse and name in worse[1]
            check_difference(real, models[0], model, size, low, high, differs=True)
        else:
            check_difference(real, model, models[0], size, low, high, differs=False)
    size, side = said(rf"accuracies in the search were ({NUMBER}) percentage points (higher|lower) on average", line)
    gaps = [100 * one.search_accuracy - real.accuracy(one) for one in models if one.search_accuracy is not None]
    assert size == pytest.approx(abs(np.mean(gaps)), abs=0.051)
    assert side == ("higher" if np.mean(gaps) > 0 else "lower")


def test_corrections_are_those_of_statsmodels(real):
    models = real.material.finals
    answers = [graded(np.stack([one == real.labels for one in real.guesses[model.label]])) for model in models]
    every = compare_all(answers, pool_seeds(answers))
    pairs = [pair for pair in every if pair[0] < pair[1]]
    adjusted = multipletests([every[pair].p for pair in pairs], method="holm")[1]
    by_pair = dict(zip(pairs, adjusted, strict=True))
    for place, model in enumerate(models[1:], start=1):
        assert model.to_best.p_adjusted == pytest.approx(by_pair[0, place], rel=1e-9)


def test_single_runs_are_compared_by_mcnemars_exact_test(real):
    first, second = (real.guesses[model.label][0] == real.labels for model in real.material.finals[:2])
    table = confusion_matrix(first, second, labels=[True, False])
    alone = [graded(one[None]) for one in (first, second)]
    one = compare_all(alone, pool_seeds(alone))[0, 1]
    assert one.p == pytest.approx(mcnemar(table, exact=True).pvalue, rel=1e-9)
    assert one.difference == pytest.approx(first.mean() - second.mean(), abs=1e-12)


def test_numbers_by_class_are_those_of_scikit_learn(real):
    for model in real.material.finals:
        names = tuple(f"class {number}" for number in range(real.labels.max() + 1))
        rows = classes_table([model], names).rows
        wanted = np.mean(
            [
                precision_recall_fscore_support(real.labels, one, zero_division=0.0)[:3]
                for one in real.guesses[model.label]
            ],
            axis=0,
        ).T
        np.testing.assert_allclose([row[2:] for row in rows], wanted, atol=1e-12)
