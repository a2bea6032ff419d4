"""The summary: five sentences made from the numbers."""

from collections import Counter

from studies.finals import FinalModel
from studies.paths import BASELINE
from studies.recommendation import Recommendation
from studies.records import CompleteTrial, linear_probe
from studies.report.material import Material, most_accurate
from studies.report.search_progress import savings
from studies.report.wording import counted, duration, listed, mega, percent, points, times
from studies.rules import BEST, KNEE, ONE_SE
from studies.scores import accuracy_interval
from studies.tables.trials import describe


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
    return f"python -m hpo.evaluate {material.name}"


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
    return (
        f"{text}, and after retraining {percent(final.accuracy)} of {sum(final.runs[0].scores.support):,} test "
        f"pictures (95 % interval {percent(low)} to {percent(high)}, {counted(len(final.runs), 'training run')})."
    )


def _final_of(material: Material, record: CompleteTrial) -> FinalModel | None:
    return next((model for model in material.finals if model.candidate == record.candidate), None)


def _beside_baseline(material: Material) -> str:
    best, first = most_accurate(material.front), linear_probe(material.records)
    cost = (
        f"{mega(best.flops)} MFLOPs and {best.latency_ms:.3g} ms for one picture and has "
        f"{best.measurement.parameters:,} weights"
    )
    if first is None:
        return f"It needs {cost}; the search has no frozen network with a linear head to compare it with."
    if first.number == best.number:
        return f"It is the pretrained baseline itself, a linear head on the frozen network, and needs {cost}."
    gained, share = best.val_accuracy - first.val_accuracy, "validation accuracy"
    finals = _final_of(material, best), _final_of(material, first)
    if finals[0] is not None and finals[1] is not None:
        gained, share = finals[0].accuracy - finals[1].accuracy, "test accuracy"
        if finals[0].interval[0] <= finals[1].interval[1] and finals[1].interval[0] <= finals[0].interval[1]:
            share += " (the 95 % intervals overlap)"
    verb = "gains" if gained >= 0 else "loses"
    return (
        f"It {verb} {points(gained)} of {share} against the pretrained baseline (trial {first.number}, a linear head "
        f"on the frozen network at {first.candidate.resolution} px), at "
        f"{times(best.flops / first.flops)} the FLOPs and "
        f"{times(best.latency_ms / first.latency_ms)} the latency: it needs {cost}."
    )


def _recommended(material: Material) -> str:
    found, members = material.recommendation, material.front
    assert found is not None
    record, best = found.record, found.best
    if len(members) == 1:
        return f"Trial {record.number} is recommended: no other fully trained candidate is better in any objective."
    final = _final_of(material, record)
    tested = f" ({percent(final.accuracy)} on the test pictures)" if final else ""
    head = (
        f"Of the {len(members)} candidates on the Pareto front, trial {record.number} is recommended: "
        f"{percent(record.val_accuracy)} validation accuracy{tested} at {record.latency_ms:.3g} ms and "
        f"{mega(record.flops)} MFLOPs"
    )
    if record.number == best.number:
        return f"{head}; {_why_the_best(found)}."
    return (
        f"{head}; {_why_not_the_best(found)}, at {times(record.flops / best.flops)} its FLOPs and "
        f"{times(record.latency_ms / best.latency_ms)} its latency."
    )


WITHIN = {ONE_SE: "is within one standard error of it", BEST: "cannot be told apart from it"}


def _why_the_best(found: Recommendation) -> str:
    if found.rule == KNEE:
        return "it is the knee of the front, and the most accurate"
    if not found.barred:
        return f"it is the most accurate, and no cheaper one {WITHIN[found.rule]}"
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
    if not saved.stopped and not saved.duplicates:
        return f"{head}; no trial was stopped early."
    how = [f"stopping {saved.stopped} early"] if saved.stopped else []
    how += [f"not repeating {counted(saved.duplicates, 'duplicate')}"] if saved.duplicates else []
    return (
        f"{head}; {listed(how)} saved about {duration(saved.saved_seconds)} of training, an estimated "
        f"{percent(saved.share)} of what training all of them to the end would have taken."
    )


def _certainty(material: Material) -> str:
    best = most_accurate(material.front)
    if not material.finals:
        n_val = material.fingerprint.val_size
        low, high = accuracy_interval([best.val_accuracy], n_val)
        near = sum(r.number != best.number and r.val_accuracy >= low for r in material.complete)
        others = (
            f"{counted(near, 'other candidate')} {'is' if near == 1 else 'are'}" if near else "no other candidate is"
        )
        return (
            f"With {n_val:,} validation pictures, the best accuracy lies between {percent(low)} and "
            f"{percent(high)} (95 %), and {others} within that range; the best of many trials is somewhat lucky, so "
            f"run `{evaluate_command(material)}` for test results."
        )
    tied = [model for model in material.finals[1:] if model.tied]
    names = listed([_called(model) for model in tied])
    text = (
        f"Of the {counted(len(material.finals), 'evaluated model')}, {names} cannot be told apart from the most "
        f"accurate, {_called(material.finals[0])}: the 95 % intervals overlap"
        if tied
        else f"No other evaluated model comes near {_called(material.finals[0])}: the 95 % intervals do not overlap"
    )
    gaps = [model.gap for model in material.finals if model.gap is not None]
    if not gaps:
        return f"{text}."
    mean = sum(gaps) / len(gaps)
    kind = "too optimistic" if mean > 0 else "too pessimistic"
    return f"{text}; the search was {kind} by {points(mean)} on average."


def _called(model: FinalModel) -> str:
    return "the baseline" if model.label == BASELINE else f"trial {model.label}"
