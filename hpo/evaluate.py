"""`python -m hpo.evaluate STUDY`: train the chosen models for good, over several seeds, and test them once."""

import concurrent.futures
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hpo import BadInput
from hpo.cli import NO_SUCCESS, StudyCommand, check_writable, field_option, quiet_libraries
from hpo.config import StudyConfig, restore_config
from hpo.measurements import write_atomically
from studies.records import TrialRecord

if TYPE_CHECKING:
    from hpo.facts import Facts
    from hpo.finals import FinalJob
    from studies.finals import FinalModel, FinalRun

POLL_SECONDS = 0.2
SAME = ("dataset_digest", "split", "weights")  # of the fingerprint: else it would not be what the search chose


@dataclass(frozen=True)
class Chosen:
    """A model to be evaluated: a trial, or the baseline."""

    label: str
    record: TrialRecord


def choose(records: Sequence[TrialRecord], pick: str, trials: str | None) -> list[Chosen]:
    """The trials to evaluate and, where there is one, the baseline: the best linear head on frozen layers.

    Errors: BadInput for numbers that are no complete trials.
    """
    from studies.finals import BASELINE
    from studies.pareto import ends_and_knee, front

    complete = {record.number: record for record in records if record.state == "complete"}
    if trials is not None:
        words = [word.strip() for word in trials.split(",") if word.strip()]
        if not words or not all(word.isdecimal() and int(word) in complete for word in words):
            there = ", ".join(map(str, complete)) or "none"
            raise BadInput(f"--trials must be numbers of complete trials ({there}). Received: {trials}")
        found = [complete[int(word)] for word in dict.fromkeys(words)]
    else:
        found = front(records) if pick == "front" else ends_and_knee(records)
    chosen = [Chosen(str(record.number), record) for record in found]
    linear = [record for record in complete.values() if _linear(record)]
    if linear:
        chosen.append(Chosen(BASELINE, max(linear, key=lambda record: (record.val_accuracy or 0, -record.number))))
    return chosen


def _linear(record: TrialRecord) -> bool:
    candidate = record.candidate
    return candidate is not None and candidate.unfreeze_depth == 0 and candidate.head_width == 0


def plateaus_of(record: TrialRecord) -> tuple[float, ...]:
    """The factors of reduce_on_plateau in each epoch of the search."""
    from models import schedules

    if record.candidate is None or record.candidate.lr_schedule != "reduce_on_plateau":
        return ()
    losses = [point["val_loss"] for point in record.learning_curve]
    return tuple(schedules.plateau_scale(losses[:epoch]) for epoch in range(len(losses)))


def jobs_for(
    chosen: Sequence[Chosen], seeds: int, config: StudyConfig, facts: "Facts", study_id: str
) -> list["FinalJob"]:
    """All runs, those of one model one after the other."""
    from hpo.finals import FinalJob
    from hpo.job import Job

    folder = config.study_dir / "final"
    found = []
    for one in chosen:
        record = one.record
        assert record.candidate is not None and record.best_epoch is not None
        job = Job(config, study_id, record.number, record.candidate, facts, folder)
        for seed in range(seeds):
            found.append(FinalJob(job, one.label, seed, record.best_epoch, plateaus_of(record), seed == 0))
    return found


def finished(final: "FinalJob") -> "FinalRun | None":
    """The result that an earlier call left, if it is of the same run."""
    from studies.finals import FinalRun

    try:
        run = FinalRun.from_json(final.result_path.read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    same = (run.study_id, run.candidate, run.epochs) == (final.job.study_id, final.job.candidate, final.epochs)
    return run if same and (run.costs or not final.measure) and run.machine == final.job.facts.machine else None


def run_all(finals: Sequence["FinalJob"], workers: Any) -> tuple[list["FinalRun"], list[str]]:
    """Results of all runs and why some failed, one after the other: latencies are measured between them."""
    from hpo.finals import train_final

    runs, failures = [], []
    for number, final in enumerate(finals, start=1):
        where = f"[{number}/{len(finals)}] {final.label if final.label == 'baseline' else f'trial {final.label}'}"
        run = finished(final)
        if run is not None:
            click.echo(f"{where}, seed {final.seed}: {run.scores.accuracy:.4f}, done before")
            runs.append(run)
            continue
        why = _wait(workers.submit(train_final, final))
        run = None if why else finished(final)
        if run is None:
            failures.append(f"{where}, seed {final.seed}: {why or 'left no result'}")
            click.echo(failures[-1])
            continue
        seconds = sum(run.seconds.values())
        click.echo(f"{where}, seed {final.seed}: test accuracy {run.scores.accuracy:.4f}, {seconds:.1f} s")
        runs.append(run)
    return runs, failures


def _wait(future: "concurrent.futures.Future[Any]") -> Any:
    """The result; a worker that died is a reason. Ctrl-C ends the wait."""
    import pebble

    from hpo.settling import explain_death

    while not future.done():
        concurrent.futures.wait([future], timeout=POLL_SECONDS)
    try:
        return future.result()
    except (pebble.ProcessExpired, concurrent.futures.process.BrokenProcessPool) as error:
        return explain_death(error)


def write_results(models: Sequence["FinalModel"], facts: "Facts", config: StudyConfig) -> list[Path]:
    """Tables and cards; returns the paths."""
    from studies import final_tables

    folder = config.study_dir / "final"
    height, width, channels = facts.shape
    about = {
        "study": config.study_name,
        "dataset": facts.dataset,
        "digest": facts.dataset_digest,
        "test_split": facts.test_split,
        "size": f"{height}x{width}x{channels}",
        "device": facts.machine["device"],
    }
    texts = {
        folder / "final.csv": final_tables.to_csv(models),
        folder / "final.json": json.dumps([final_tables.values(model) for model in models], indent=1),
        folder / "final.md": final_tables.to_markdown(models),
    }
    for model in models:
        texts[folder / model.label / "card.md"] = final_tables.card(model, facts.class_names, about)
    for path, text in texts.items():
        write_atomically(path, text)
    return list(texts)


def evaluate(config: StudyConfig, study: Any, pick: str, trials: str | None, seeds: int) -> list["FinalModel"]:
    """The whole job. Errors: BadInput; what `hpo.facts.prepare` raises."""
    from hpo.facts import prepare
    from hpo.workers import Workers
    from studies.finals import summarise
    from studies.records import read_study
    from studies.storage import writer_lock

    chosen = choose(read_study(study), pick, trials)
    if not chosen:
        raise BadInput(f"study {study.study_name} has no complete trial: there is nothing to evaluate")
    folder = config.study_dir / "final"
    with (
        writer_lock(folder / ".lock", config.study_name),
        Workers(max(1, config.workers), config.device, config.study_dir / "worker.log") as workers,
    ):
        facts = _wait(workers.submit(prepare, config))
        kept = study.user_attrs["fingerprint"]
        now = {"dataset_digest": facts.dataset_digest, "split": facts.split_digest, "weights": facts.weights_digest}
        if odd := [name for name in SAME if kept[name] != now[name]]:
            raise BadInput(
                f"study {study.study_name} was made with another {', '.join(odd)}: what it chose is not here"
            )
        if not any(one.label == "baseline" for one in chosen):
            click.echo("no baseline: the search has no complete trial with a linear head on frozen layers")
        finals = jobs_for(chosen, seeds, config, facts, study.user_attrs["study_id"])
        runs, failures = run_all(finals, workers)
    by_label = {one.label: one.record.val_accuracy for one in chosen}
    models = summarise([run for run in runs if _measured(run, runs)], by_label) if runs else []
    if models:
        write_results(models, facts, config)
    if failures:
        click.echo(f"error: {len(failures)} of {len(finals)} runs failed; the same command tries them again", err=True)
    return models


def _measured(run: "FinalRun", runs: Sequence["FinalRun"]) -> bool:
    return any(other.costs for other in runs if other.label == run.label)


def _print(models: Sequence["FinalModel"], folder: Path) -> None:
    from rich import box
    from rich.table import Table

    from hpo.display import make_console
    from studies.final_tables import HEADS, cells

    title = "Test pictures, mean over seeds; tied: its interval overlaps that of the first"
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left")
    for head in HEADS:
        table.add_column(head, justify="left" if head in ("model", "candidate") else "right", overflow="fold")
    for model in models:
        table.add_row(*cells(model))
    make_console().print(table)
    click.echo(f"\nFiles in {folder}: final.csv, final.json, final.md; for each model card.md and seed-N/model.keras")


@click.command(cls=StudyCommand)
@click.argument("study")
@click.option("--pick", type=click.Choice(["front", "few"]), default="front", show_default=True,
              help="all members of the front, or the two ends and the knee")  # fmt: skip
@click.option("--trials", metavar="N,N,...", help="these trials instead")
@click.option("--seeds", type=click.IntRange(1, 100), default=3, show_default=True, help="training runs of each model")
@field_option("storage")
@field_option("out")
@field_option("cache_dir")
@field_option("data_dir")
@field_option("device")
def main(study: str, pick: str, trials: str | None, seeds: int, **places: Any) -> int:
    """Train the chosen models of STUDY for good and test them.

    Each is trained on the training and validation pictures together, for the epochs that the search found best, with
    several seeds, and tested once on the test pictures, which nothing else reads. The frozen baseline is among
    them. The same command again continues.
    """
    from hpo.config import check_field
    from studies.storage import load_study, storage_trouble

    quiet_libraries()
    storage = check_field("storage", places["storage"])
    with storage_trouble(storage):
        loaded = load_study(storage, study)
        config = restore_config(loaded.user_attrs.get("options"), study, places)
        check_writable(config.out, config.cache_dir)
        models = evaluate(config, loaded, pick, trials, seeds)
    if not models:
        return NO_SUCCESS
    _print(models, config.study_dir / "final")
    return 0


if __name__ == "__main__":
    main()
