"""A study as a chapter: one function for each section, which is left out where there is nothing to say."""

from collections import Counter
from collections.abc import Callable

from studies.objectives import COSTS, LATENCY, OBJECTIVES, VAL_ACCURACY
from studies.plots.data import pareto_data, three_data
from studies.records import State
from studies.report import charts, model_tables, parallel
from studies.report.bars import bars
from studies.report.blocks import Block, Chapter, Chart, Charts, Facts, Points, Section, Text
from studies.report.closing import loading, reproducing
from studies.report.forms import deployed
from studies.report.gallery import Gallery
from studies.report.mapped import mapped
from studies.report.material import Material, Shown, shown_models
from studies.report.search_progress import BEYOND_WORST, hypervolume_steps, savings
from studies.report.setup import setup
from studies.report.summary import summary
from studies.report.tested import mistakes, results, saliency
from studies.report.wording import UNSURE, counted, duration, listed, percent
from studies.rules import NEVER, RULES

NOTHING = Gallery()
FRONT_RULE = (
    "No candidate on the Pareto front is at least as good as another one on it in accuracy, latency and FLOPs and "
    "better in one of them; every other candidate that was trained to the end is beaten in that way by one on the "
    "front. Latencies that differ by no more than their uncertainty are equal."
)


def chapter(material: Material, gallery: Gallery = NOTHING, name: str = "") -> Chapter:
    """All sections of a study; `name` tells it from other chapters of the report."""
    parts: tuple[Callable[[Material, Gallery], Section | None], ...] = (
        _summary, setup, mapped, _models, _front, _progress, _importance, _parallel, _stopping, results, deployed,
        saliency, mistakes, loading, reproducing, _trials,
    )  # fmt: skip
    sections = [part(material, gallery) for part in parts]
    return Chapter(name, f"Study {material.name}", tuple(section for section in sections if section is not None))


def _summary(material: Material, _gallery: Gallery) -> Section:
    return Section("summary", "Summary", (Points(summary(material)),))


def _models(material: Material, _gallery: Gallery) -> Section | None:
    models = shown_models(material)
    if not models:
        return None
    table = model_tables.models_table(material, models)
    text = (
        "Accuracy is the share of pictures that are classified correctly. FLOPs count convolutions and dense layers, "
        "1 MAC = 2 FLOPs; inference time is the latency of one picture. The highlighted model is the recommended one."
    )
    return Section(
        "models", model_tables.models_title(material, models), (Text(text), table, bars(models), *_curves(models))
    )


def _curves(models: list[Shown]) -> list[Block]:
    curves = []
    for key, title, what in (
        ("val_accuracy", VAL_ACCURACY.brief, "Validation accuracy"),
        ("loss", "training loss (nats)", "Training loss"),
    ):
        shown = [m for m in models if any(point.get(key) is not None for point in m.record.learning_curve)]
        if shown:
            last = [f"{m.name} ends at {m.record.learning_curve[-1][key]:.3f}" for m in shown]
            alt = f"Lines of {title} over epochs: {listed(last)}."
            caption = f"{what} after each epoch of the search."
            curves.append(Chart(f"curves_{key}", caption, alt, charts.learning_curves(shown, key, title), 400))
    return [Charts(tuple(curves))] if curves else []


def _front(material: Material, _gallery: Gallery) -> Section | None:
    if not material.complete:
        return None
    star = material.recommended_number
    without = material.fingerprint.from_scratch or material.fingerprint.is_hypermodel
    never = "" if without else f"{NEVER} "  # there is no baseline
    blocks: list[Block] = [
        Text(f"{FRONT_RULE} Recommended is {RULES[material.rule]}. {never}Here that is trial {star}.")
    ]
    for x in COSTS:
        data = pareto_data(material.name, material.records, x)
        drawn = "the band is the front's 95 % interval; " if data.band.at else ""
        drawn += f"horizontal lines {UNSURE}; " if x is LATENCY else ""
        ends = data.front[0], data.front[-1]
        alt = (
            f"Accuracy against {x.noun} of {counted(len(data.everything), 'trial')}: the front rises from "
            f"{percent(ends[0].accuracy)} at {ends[0].at(x):.3g} to {percent(ends[1].accuracy)} at "
            f"{ends[1].at(x):.3g}{x.unit}; trial {star} is recommended."
        )
        caption = (
            f"Accuracy against {x.noun}; {drawn}numbers are trials. {data.subtitle[0].upper()}{data.subtitle[1:]}."
        )
        blocks.append(Chart(f"accuracy_{x.stem}", caption, alt, charts.pareto(data, star)))
    space = charts.pareto_space(three_data(material.name, material.records), star)
    alt = f"The same trials in space: accuracy over latency and FLOPs, {len(material.front)} on the front."
    caption = "All three objectives; drag to turn the view."
    blocks += [Chart("accuracy_latency_flops", caption, alt, space, 520), model_tables.front_table(material)]
    return Section("front", "Pareto front", tuple(blocks))


def _progress(material: Material, _gallery: Gallery) -> Section | None:
    steps = hypervolume_steps(material.records)
    if len(material.complete) < 2:
        return None
    last = steps[-1]
    text = (
        "The hypervolume is the share of the objective space that the front dominates, from 0 to 1. The reference "
        f"point has accuracy 0 and {BEYOND_WORST:g} times the latency and the FLOPs of the slowest and the costliest "
        "complete trial; latency and FLOPs are logarithms, scaled to 0 at the best complete trial and 1 at the "
        "reference point. Seconds are those spent in trials, one after the other, so pauses do not count."
    )
    ends = f"up to {last.hypervolume:.3f} after {counted(len(steps), 'trial')} and {duration(last.seconds)}"
    hypervolumes = tuple(
        Chart(f"hypervolume_{over}", f"Hypervolume over {what}.", f"Hypervolume over {what}, {ends}.",
              charts.hypervolume(steps, over), 340)
        for over, what in (("number", "trials"), ("seconds", "seconds of search"))
    )  # fmt: skip
    return Section("progress", "Progress of the search", (Text(text), Charts(hypervolumes)))


def _importance(material: Material, _gallery: Gallery) -> Section | None:
    importance = material.importances
    title = "Which parameter matters for which objective"
    if not material.complete:
        return None
    if not importance.shares:
        return Section("importance", title, (Text(f"{importance.why[0].upper()}{importance.why[1:]}."),))
    named = [
        (objective.noun, importance.shares[objective.name])
        for objective in OBJECTIVES
        if objective.name in importance.shares
    ]
    considered = "only parameters that change the network"
    if material.fingerprint.is_hypermodel:
        considered = "all hyperparameters, since it is not known which of them change the network,"
    most = [f"{max(shares, key=shares.__getitem__)} for {noun}" for noun, shares in named]
    text = (
        f"PED-ANOVA (Watanabe et al. 2023) compares the best {percent(importance.quantile)} of the "
        f"{counted(len(material.complete), 'complete trial')} by each objective with all of them: a parameter whose "
        f"values differ most between the two matters most. Most important here: {listed(most)}. For latency "
        f"and FLOPs {considered} are considered. The first candidates of a search are fixed, and a sampler prefers "
        "what did well, so with few trials this is only a hint."
    )
    figure = charts.importance(importance)
    n_rows = max(len(shares) for shares in importance.shares.values())
    alt = f"Bars of importance by parameter and objective; most important are {listed(most)}."
    chart = Chart("importance", "Importance of each parameter, by objective.", alt, figure, 120 + 46 * n_rows)
    return Section("importance", title, (Text(text), chart))


def _parallel(material: Material, _gallery: Gallery) -> Section | None:
    if len(material.complete) < 2 or material.recommended_number is None:
        return None
    figure, height = parallel.draw(material.records, material.recommended_number, material.fingerprint.logarithmic)
    alt = (
        f"Each of {counted(len(material.complete), 'complete trial')} is a line through its settings and then its "
        f"latency, FLOPs and accuracy; the front and trial {material.recommended_number} stand out."
    )
    caption = (
        "Every complete trial as a line from what was decided (above) to what came out (below); rows called log are "
        "logarithmic, all others linear."
    )
    chart = Chart("parallel", caption, alt, figure, height, 680)
    return Section("parallel", "Settings and results together", (chart,))


def _stopping(material: Material, _gallery: Gallery) -> Section | None:
    saved = savings(material.records, material.fingerprint.epochs, material.phases)
    if not saved.epochs:
        return None
    how = []
    if saved.stopped:
        how += [f"{counted(saved.stopped, 'trial')} stopped at a rung by the rule {material.fingerprint.stopping}"]
    how += [f"{counted(saved.diverged, 'trial')} that diverged ended at once"] if saved.diverged else []
    how += [f"{counted(saved.duplicates, 'duplicate')} not repeated"] if saved.duplicates else []
    sentences = [
        f"Of the {counted(saved.all_epochs, 'epoch')} that all candidates together would have taken, "
        f"{saved.epochs:,} were trained: {listed(how)}."
    ]
    if not how:
        sentences = [f"No trial was stopped early: all {counted(saved.epochs, 'epoch')} were trained."]
    if saved.saved_seconds:
        sentences.append(
            f"Training took {duration(saved.seconds)}; without that it would have taken about "
            f"{duration(saved.all_seconds)}, so about {percent(saved.share)} was saved. This is an estimate: a missing "
            "epoch is taken to cost what the trial's own epochs did, a duplicate what the median complete trial took."
        )
    if saved.over_budget:
        verb = "was" if saved.over_budget == 1 else "were"
        sentences.append(f"{counted(saved.over_budget, 'candidate')} over a budget {verb} measured but not trained.")
    return Section("stopping", "What early stopping saved", (Text(" ".join(sentences)),))


def _trials(material: Material, _gallery: Gallery) -> Section | None:
    if not material.records:
        return None
    states = Counter(record.state for record in material.records)
    text = f"{counted(len(material.records), 'trial')}: {listed([f'{n} {state}' for state, n in states.items()])}."
    failed = Counter(record.reason for record in material.records if record.state == State.FAILED and record.reason)
    why = [Facts(tuple((f"{n} failed", reason) for reason, n in failed.most_common(5)))] if failed else []
    return Section("trials", "All trials", (Text(text), *why, model_tables.trials_table(material)))
