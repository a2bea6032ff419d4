"""The final evaluation, as the parent sees it: what is to be run, what is there already, and what is written of it."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import optuna

from hpo.config import StudyConfig
from hpo.errors import BadField, BadInput, TaskFailed, WorkerLost
from hpo.final.exporting import make_forms
from hpo.final.selection import baseline, beside_baseline, choose, jobs_for
from hpo.final.training import FinalJob, look, train_final
from hpo.worker import heartbeat
from hpo.worker.executor import StepWatcher, wait
from hpo.worker.facts import Facts
from hpo.worker.pool import Workers
from models.candidate import AnyArchitecture
from studies import artifacts
from studies.attributes import FINAL, STUDY_ID
from studies.finals import FinalCosts, FinalModel, FinalRun, read_answers, summarise
from studies.fingerprint import fingerprint_of
from studies.forms import Ranked, all_forms
from studies.overlap import Overlap
from studies.paths import StudyFiles, name_of, write_text
from studies.plots import finals as plots
from studies.plots import forms as forms_plots
from studies.plots import paper
from studies.records import read_study
from studies.storage import database_lock, writer_lock
from studies.tables import finals as tables
from studies.tables import forms as forms_tables
from studies.tables import table

# What the phases of a run are called, in the order in which they are told.
WORDS = {
    "prepare": "preparing networks and features",
    "train": "training",
    "measure": "measuring latency and throughput",
    "test": "testing",
}
MOST_OVERLAP = 0.01  # of the test pictures
NOTE = "## Final evaluation"  # the heading of what is ours in the study's note


@dataclass(frozen=True)
class Evaluation:
    """What came of it: models from the most to the least accurate, and in one line each the runs that failed."""

    models: Sequence[FinalModel]
    failures: Sequence[str]


def evaluate(
    config: StudyConfig,
    study: optuna.Study,
    pick: str,
    trials: str | None,
    seeds: int,
    runtimes: Sequence[str],
    allow_overlap: bool,
    watcher: StepWatcher,
) -> Evaluation:
    """Give the chosen models their final training, test them, and write what came of it beside the study and into it.

    Args:
        config: of the study, with the places of this machine.
        study: the search whose trials are chosen from.
        pick: "front", or "few" for its two ends and the recommended one.
        trials: numbers of trials instead, separated by commas.
        seeds: training runs of each model.
        runtimes: the forms in which each model is measured too, see `hpo.final.exporting`.
        allow_overlap: also where more test pictures than `MOST_OVERLAP` are among those to train on.
        watcher: is told what is being done.

    Raises:
        BadInput: there is nothing to evaluate, too many test pictures are among those to train on, or data, split,
            weights or the places where networks end are not those of the search.
        WorkerLost, TaskFailed: before the first run.
        DataError: there are no test pictures.
    """
    files = StudyFiles(config.study_dir)
    with database_lock(config.storage, config.study_name), writer_lock(files.lock, config.study_name):
        models, failures, facts = _train(config, study, pick, trials, seeds, allow_overlap, watcher)
        if models:
            _write(study, models, facts, config)
        if models and runtimes:
            failures += make_forms(study, config, [model.runs[0] for model in models], runtimes, watcher)
            _write(study, models, facts, config)
    return Evaluation(models, failures)


def _train(
    config: StudyConfig,
    study: optuna.Study,
    pick: str,
    trials: str | None,
    seeds: int,
    allow_overlap: bool,
    watcher: StepWatcher,
) -> tuple[list[FinalModel], list[str], Facts]:
    """The models, why some runs failed, and what they were made with; see `evaluate`."""
    log = StudyFiles(config.study_dir).worker_log
    with Workers(min(1, config.workers), config.device, log) as workers:
        records = read_study(study)
        finalists = choose(records, pick, trials, fingerprint_of(study))
        text = "looking at data, weights and machine"
        facts, overlap = wait(workers.submit(look, config), lambda: watcher.waiting(text))
        check_same(study, facts)
        check_overlap(overlap, allow_overlap, watcher.note)
        beside = baseline(records, config, facts.resolutions[-1])
        if beside is None:
            why = (
                "a HyperModel decides what it begins with" if config.is_hypermodel else "this study trains from scratch"
            )
            watcher.note(f"no pretrained baseline: {why}")
        finalists = beside_baseline(finalists, beside, named=trials is not None)
        finals = jobs_for(finalists, seeds, config, facts, study.user_attrs[STUDY_ID], overlap.shared)
        runs, failures = run_all(finals, workers, watcher)
    search = {one.label: one.search_accuracy for one in finalists}
    return summarise(runs, search, read_answers(StudyFiles(config.study_dir), runs)), failures, facts


def _write(study: optuna.Study, models: Sequence[FinalModel], facts: Facts, config: StudyConfig) -> None:
    write_results(models, facts, config)
    keep(study, models, facts.class_names, config)


def check_overlap(overlap: Overlap, allowed: bool, note: Callable[[str], None]) -> None:
    """Say which test pictures are among those to train on.

    Raises:
        BadInput: they are too many for the accuracy to say what the models do with new pictures.
    """
    if overlap.share > MOST_OVERLAP and not allowed:
        raise BadField("allow_overlap", f"is needed to go on: {overlap.words}; an accuracy on them says little")
    if overlap.shared:
        note(f"note: {overlap.words}")


def check_same(study: optuna.Study, facts: Facts) -> None:
    """Make sure that this is what the search chose with.

    Raises:
        BadInput: data, split, weights or the places where networks end are other ones.
    """
    then = fingerprint_of(study)
    pairs = {
        "data": (then.dataset_digest, facts.dataset_digest),
        "split": (then.split, facts.split_digest),
        "weights": (then.weights, facts.weights_digest),
        "code of the network": (then.source, facts.source),
        "places where networks end": (then.ends, facts.ends if "keep_blocks" in then.space else None),
    }
    if changed := [name for name, (before, now) in pairs.items() if before != now]:
        raise BadInput(
            f"study {study.study_name} was made with other {' and '.join(changed)} than those here: "
            "what it chose cannot be evaluated"
        )


def finished(final: FinalJob) -> FinalRun | None:
    """The result that an earlier call left, if it is of the same run."""
    try:
        run = FinalRun.from_json(final.files.result.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    job = final.job
    same = (run.study_id, run.candidate, run.epochs) == (job.study_id, job.candidate, final.epochs)
    whole = (run.costs or not final.measure) and run.shape and final.files.model.is_file()
    return run if same and whole and run.machine == job.facts.machine else None


def run_all(finals: Sequence[FinalJob], workers: Workers, watcher: StepWatcher) -> tuple[list[FinalRun], list[str]]:
    """Results of all runs and why some failed, one after the other: latencies are measured between them."""
    runs: list[FinalRun] = []
    failures: list[str] = []
    costs: dict[AnyArchitecture, FinalCosts] = {}  # one network is measured once
    spent: Counter[str] = Counter()
    for number, final in enumerate(finals, start=1):
        watcher.steps(number - 1, len(finals))
        where = f"[{number}/{len(finals)}] {name_of(final.label)}, seed {final.seed}"
        architecture = final.job.candidate.architecture
        run = finished(final)
        if run is not None:
            watcher.note(f"{where}: test accuracy {run.scores.accuracy:.4f}, done before")
            runs.append(run)
            if run.costs:
                costs[architecture] = run.costs
            continue
        if final.measure:
            final = replace(final, costs=costs.get(architecture))
        why = _attempt(workers, final, where, watcher)
        run = None if why else finished(final)
        if run is None:
            failures.append(f"{where}: {why or 'left no result'}")
            watcher.note(failures[-1])
            continue
        watcher.note(f"{where}: test accuracy {run.scores.accuracy:.4f}, trained in {run.training_seconds:.1f} s")
        runs.append(run)
        spent.update(run.seconds)
        if run.costs:
            costs[architecture] = run.costs
    watcher.steps(len(finals), len(finals))
    if spent:
        watcher.note(f"Time: {', '.join(f'{WORDS[phase]} {spent[phase]:.0f} s' for phase in WORDS)}.")
    return runs, failures


def _attempt(workers: Workers, final: FinalJob, where: str, watcher: StepWatcher) -> str:
    """Why a run failed, or nothing."""
    progress = final.job.files.progress
    heartbeat.begin(progress)  # the clock of the stall timeout starts here
    try:
        future = workers.submit(train_final, final)
        wait(future, lambda: watcher.tick({where: progress}), progress, final.job.config.stall_timeout)
        return ""
    except WorkerLost as lost:
        return str(lost)
    except TaskFailed as failed:
        write_text(final.files.error, failed.details)
        return str(failed)
    finally:
        progress.unlink(missing_ok=True)


def write_results(models: Sequence[FinalModel], facts: Facts, config: StudyConfig) -> list[Path]:
    """Tables of all models and forms, and card, numbers by class and confusion matrix of each; returns the paths."""
    files = StudyFiles(config.study_dir)
    forms = all_forms(models, files)
    about = {
        "study": config.study_name,
        "dataset": facts.dataset,
        "digest": facts.dataset_digest,
        "test_split": facts.test_split,
        "overlap": Overlap(models[0].runs[0].overlap, models[0].runs[0].n_test).words,
        "device": facts.machine["device"],
    }
    texts = {
        files.final / "final.csv": tables.to_csv(models),
        files.final / "final.json": json.dumps([tables.values(model) for model in models], indent=1),
        files.final / "final.md": tables.to_markdown(models),
        files.final / "final.tex": tables.to_latex(models, f"{facts.dataset}, {facts.machine['device']}"),
    }
    for model in models:
        own = files.model(model.label)
        texts[own / "card.md"] = tables.card(
            model, facts.class_names, about, [one for one in forms if one.form.label == model.label]
        )
        texts[own / "per_class.csv"] = tables.per_class_csv(model, facts.class_names)
        texts[own / "confusion.csv"] = tables.confusion_csv(model, facts.class_names)
    for path, text in texts.items():
        write_text(path, text)
    return [*texts, *write_forms(config.study_name, forms, files)]


def write_forms(name: str, forms: Sequence[Ranked], files: StudyFiles) -> list[Path]:
    """Tables and picture of all forms of the study `name`; those of models that are no more are removed."""
    stem = files.final / "forms"
    if not forms:
        for path in files.final.glob("forms.*"):
            path.unlink()
        return []
    rows = forms_tables.records(forms)
    texts = {
        "csv": table.records_to_csv(rows),
        "json": json.dumps(rows, indent=1),
        "md": forms_tables.to_markdown(forms),
        "tex": forms_tables.to_latex(forms),
    }
    for suffix, text in texts.items():
        write_text(stem.with_suffix(f".{suffix}"), text)
    drawn = paper.write(forms_plots.draw(name, forms), stem)
    return [*(stem.with_suffix(f".{suffix}") for suffix in texts), *drawn]


def keep(study: optuna.Study, models: Sequence[FinalModel], class_names: Sequence[str], config: StudyConfig) -> None:
    """Write the results into the study, where the dashboard shows them.

    The table as the attribute `final`, and into its note behind what else is there; pictures and card of each model as
    files of its trial.

    Args:
        study: that the models are of.
        models: from the most to the least accurate.
        class_names: in the order of their labels.
        config: of the study, for its folders.
    """
    import optuna_dashboard

    study.set_user_attr(FINAL, [tables.values(model) for model in models])
    others = optuna_dashboard.get_note(study).partition(NOTE)[0]
    artifacts.annotate(study, f"{others}{NOTE}\n\n{tables.to_markdown(models, tables.TERMINAL)}")
    for model in models:
        folder = StudyFiles(config.study_dir).model(model.label)
        written = plots.write(model, class_names, folder)
        if model.label.isdecimal():  # the baseline is no trial of its own
            for path in [*written, folder / "card.md"]:
                artifacts.attach(study, config.out, path, int(model.label))
