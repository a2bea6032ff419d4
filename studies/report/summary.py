"""The summary: five sentences made from the numbers."""

from collections import Counter
from collections.abc import Sequence

from studies.difference import Difference, Verdict, among_all, in_points, size_in_points
from studies.finals import FinalModel
from studies.fingerprint import HYPERMODEL, SCRATCH
from studies.paths import BASELINE, called
from studies.recommendation import Recommendation
from studies.records import CompleteTrial, linear_probe
from studies.report.material import Material, baseline_of, most_accurate
from studies.report.search_progress import savings
from studies.report.wording import counted, duration, listed, mega, percent, points, times
from studies.rules import BEST, KNEE, ONE_SE
from studies.scores import wilson_interval
from studies.tables.trials import describe

INTERVAL = "95 % interval "


def summary(material: Material) -> tuple[str, ...]:
    """The best candidate, what it costs beside the baseline, what is recommended, what the search took, how sure."""
    if not material.complete:
        return _nothing_complete(material)
    return (
        _best(material),
        _beside_baseline(material),
        _recommended(material),
        _effort(material),
        _certainty(material),
    )


def evaluate_command(material: Material) -> str:
    """The line that evaluates the study."""
    return f"python -m hpo.evaluate {material.name}{material.fingerprint.code_words}"


def _nothing_complete(material: Material) -> tuple[str, ...]:
    ended = [record for record in material.records if record.counts]
    if not ended:
        return ("No trial of this study has ended yet, so there are no results to report.",)
    states = Counter(record.state for record in ended)
    how = listed([f"{number} {state.words}" for state, number in states.items()])
    first = f"None of the {counted(len(ended), 'trial')} of this study completed ({how}): there is no model to compare."
    reasons = Counter(record.reason for record in ended if record.reason)
    if not reasons:
        return (first,)
    reason, number = reasons.most_common(1)[0]
    return (first, f"The most frequent reason, in {counted(number, 'trial')}: {reason}.")


def _best(material: Material) -> str:
    record = most_accurate(material.front)
    n_val = material.fingerprint.val_size
    n_complete, which = len(material.complete), f"{record.number} ({describe(record.candidate)})"
    text = f"Of {n_complete:,} fully trained candidates, trial {which} is the most accurate in the search"
    if n_complete == 1:
        text = f"Trial {which} is the only fully trained candidate"
    text += f": it classifies {percent(record.val_accuracy)} of the {n_val:,} validation pictures correctly"
    final = _final_of(material, record)
    if final is None:
        return f"{text}."
    low, high = final.interval
    runs = counted(len(final.runs), "training run")
    if all(len(model.runs) == 1 for model in material.finals):
        runs = "one training run: only pictures vary"
    return (
        f"{text}, and after retraining {percent(final.accuracy)} of {final.runs[0].n_test:,} test pictures "
        f"({INTERVAL}{percent(low)} to {percent(high)}, {runs})."
    )


def _final_of(material: Material, record: CompleteTrial) -> FinalModel | None:
    return next((model for model in material.finals if model.candidate == record.candidate), None)


def _beside_baseline(material: Material) -> str:
    best, first = most_accurate(material.front), linear_probe(material.records)
    cost = (
        f"{mega(best.flops)} MFLOPs and {best.latency_ms:.3g} ms for one picture and has "
        f"{best.measurement.parameters:,} weights"
    )
    if material.origin == HYPERMODEL:
        return f"It needs {cost}."
    if material.origin == SCRATCH:
        return f"It needs {cost}; everything was trained from scratch, so there is no pretrained network beside it."
    if first is None:
        return f"It needs {cost}; the search has no frozen network with a linear head to compare it with."
    if first.number == best.number:
        return f"It is the {baseline_of(material)} itself, a linear head on the frozen network, and needs {cost}."
    baseline = (
        f"the {baseline_of(material)} (trial {first.number}, a linear head on the frozen network at "
        f"{first.candidate.settings()['resolution']} px)"
    )
    return (
        f"{_gained(material, best, first, baseline)}, at {times(best.flops / first.flops)} the FLOPs and "
        f"{times(best.latency_ms / first.latency_ms)} the latency: it needs {cost}."
    )


def _gained(material: Material, best: CompleteTrial, first: CompleteTrial, baseline: str) -> str:
    """What the most accurate trial is worth beside the baseline: on the test pictures where both were evaluated."""
    final, frozen = _final_of(material, best), _final_of(material, first)
    gained, share = best.val_accuracy - first.val_accuracy, "validation accuracy"
    if final is None or frozen is None:
        return f"It {'gains' if gained >= 0 else 'loses'} {points(gained)} of {share} against {baseline}"
    one, runs = final.to_baseline, _runs_of(final, frozen)
    if one is None:
        gained = final.accuracy - frozen.accuracy
        return (
            f"It {'gains' if gained >= 0 else 'loses'} {points(gained)} of test accuracy against {baseline}; whether "
            "chance explains that cannot be said, since predictions are missing"
        )
    if one.differs:
        verb = "gains" if one.difference > 0 else "loses"
        return f"On the test pictures it {verb} {size_in_points(one, INTERVAL)} against {baseline}, over {runs}"
    if one.verdict is Verdict.FEW_SEEDS:
        return (
            f"On the test pictures, with one training run of each, it is at {in_points(one, INTERVAL)} beside "
            f"{baseline}; only the pictures vary in that, which is too few seeds to say which of them is better"
        )
    size = in_points(one, INTERVAL)
    told = among_all(one)
    return f"On the test pictures it is not distinguishable from {baseline}: a difference of {size} over {runs}{told}"


def _runs_of(one: FinalModel, other: FinalModel) -> str:
    if len(one.runs) == len(other.runs):
        return f"{counted(len(one.runs), 'training run')} of each"
    return f"{len(one.runs)} and {counted(len(other.runs), 'training run')}"


def _recommended(material: Material) -> str:
    found, members = material.recommendation, material.front
    assert found is not None
    record, best = found.record, found.best
    final = _final_of(material, record)
    again = _looked_at_again(material, found.rule, final)
    if len(members) == 1:
        alone = f"Trial {record.number} is recommended: no other fully trained candidate is better in any objective."
        return f"{alone}{again}"
    tested = f" ({percent(final.accuracy)} on the test pictures)" if final else ""
    head = (
        f"Of the {len(members)} candidates on the Pareto front, trial {record.number} is recommended: "
        f"{percent(record.val_accuracy)} validation accuracy{tested} at {record.latency_ms:.3g} ms and "
        f"{mega(record.flops)} MFLOPs"
    )
    if record.number == best.number:
        return f"{head}; {_why_the_best(found)}.{again}"
    return (
        f"{head}; {_why_not_the_best(found)}, at {times(record.flops / best.flops)} its FLOPs and "
        f"{times(record.latency_ms / best.latency_ms)} its latency.{again}"
    )


def _looked_at_again(material: Material, rule: str, final: FinalModel | None) -> str:
    """Whether the test results contradict what was recommended without them; nothing was chosen by them."""
    others = [model for model in material.finals if model is not final]
    if final is None or not others:
        return ""
    against = []
    if any(model.label == BASELINE for model in others):
        against.append((final.to_baseline, f"the {baseline_of(material)}"))
    if rule != KNEE and not final.best:  # the knee gives accuracy away
        against.append((final.to_best, "the most accurate one evaluated"))
    known = [(one, name) for one, name in against if one is not None]
    if worse := [f"worse than {name} by {size_in_points(one)}" for one, name in known if one.verdict is Verdict.WORSE]:
        return f" The test results contradict that: it is {listed(worse)}."
    if len(known) < len(against):
        return " Whether the test results contradict that cannot be said, since predictions are missing."
    if any(one.verdict is Verdict.FEW_SEEDS for one, _ in known):
        return " There are too few seeds to say whether the test results contradict that."
    return " The test results do not contradict that."


NONE_WITHIN = {
    ONE_SE: "no cheaper one is within one standard error of it",
    BEST: "every cheaper one can be told apart from it",
}
WITHIN = {ONE_SE: "is within one standard error of it", BEST: "cannot be told apart from it"}


def _why_the_best(found: Recommendation) -> str:
    if found.rule == KNEE:
        return "it is the knee of the front, and the most accurate"
    if not found.barred:
        return f"it is the most accurate, and {NONE_WITHIN[found.rule]}"
    return f"it is the most accurate; what is cheaper and {WITHIN[found.rule]} is less accurate than the baseline"


def _why_not_the_best(found: Recommendation) -> str:
    best = f"the most accurate, trial {found.best.number}"
    lost = f"{points(found.best.val_accuracy - found.record.val_accuracy)} below it"
    if found.rule == KNEE:
        return f"it is the knee of the front; {best}, is {lost.removesuffix(' below it')} more accurate"
    pairs = "" if found.paired else "; which pictures each has right is not known, so they count as different ones"
    barred = ", and is not less accurate than the baseline" if found.barred else ""
    within = WITHIN[found.rule].removesuffix(" it")
    error = f"standard error {points(found.standard_error)}{pairs}"
    return f"it is the cheapest that {within} {best}{barred} ({lost}, {error})"


def _effort(material: Material) -> str:
    ended = [record for record in material.records if record.counts]
    spent = sum(record.seconds for record in material.records)
    saved = savings(material.records, material.fingerprint.epochs, material.phases)
    head = (
        f"The search took {duration(spent)} of work for {counted(len(ended), 'trial')} on {material.fingerprint.device}"
    )
    how = [f"stopping {saved.stopped} early"] if saved.stopped else []
    how += [f"ending {saved.diverged} that diverged"] if saved.diverged else []
    how += [f"not repeating {counted(saved.duplicates, 'duplicate')}"] if saved.duplicates else []
    if not how:
        return f"{head}; no trial was stopped early."
    return (
        f"{head}; {listed(how)} saved about {duration(saved.saved_seconds)} of training, an estimated "
        f"{percent(saved.share)} of what training all of them to the end would have taken."
    )


def _certainty(material: Material) -> str:
    best = most_accurate(material.front)
    if not material.finals:
        n_val = material.fingerprint.val_size
        low, high = wilson_interval(best.val_accuracy, n_val)
        near = sum(r.number != best.number and r.val_accuracy >= low for r in material.complete)
        others = (
            f"{counted(near, 'other candidate')} {'is' if near == 1 else 'are'}" if near else "no other candidate is"
        )
        return (
            f"With {counted(n_val, 'validation picture')}, the best accuracy lies between {percent(low)} and "
            f"{percent(high)} (95 %), and {others} within that range; the best of many trials looks better than it is, "
            f"so run `{evaluate_command(material)}` for test results."
        )
    gaps = [model.gap for model in material.finals if model.gap is not None]
    if not gaps:
        return f"{_beside_best(material.finals)}."
    mean = sum(gaps) / len(gaps)
    side = "higher" if mean > 0 else "lower"
    return (
        f"{_beside_best(material.finals)}; accuracies in the search were {points(mean)} {side} on average, which is a "
        "mixture: the best of many was chosen there, and final models are trained on the validation pictures too."
    )


def _beside_best(models: Sequence[FinalModel]) -> str:
    """Which models differ from the most accurate one, and by how much."""
    best, others = _called(models[0]), models[1:]
    if not others:
        return f"Only {best} was evaluated"
    worse = [f"{_called(model)} by {size_in_points(one)}" for model, one in _said(others, Verdict.WORSE)]
    alike = [f"{_called(model)} at {in_points(one)}" for model, one in _said(others, Verdict.ALIKE)]
    few = [f"{_called(model)} at {in_points(one)}" for model, one in _said(others, Verdict.FEW_SEEDS)]
    unknown = [_called(model) for model in others if model.to_best is None]
    parts = [f"worse: {listed(worse)}"] if worse else []
    parts += [f"not distinguishable: {listed(alike)}"] if alike else []
    parts += [f"one run of each, so too few seeds to say, as only the pictures vary: {listed(few)}"] if few else []
    parts += [f"not to be said, since predictions are missing: {listed(unknown)}"] if unknown else []
    return (
        f"Of the {counted(len(models), 'evaluated model')}, {best} is the most accurate on the test pictures; beside "
        f"it, with 95 % intervals, {'; '.join(parts)}"
    )


def _said(models: Sequence[FinalModel], verdict: Verdict) -> list[tuple[FinalModel, Difference]]:
    return [(model, model.to_best) for model in models if model.to_best and model.to_best.verdict is verdict]


def _called(model: FinalModel) -> str:
    return called(model.label)
