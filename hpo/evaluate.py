"""`python -m hpo.evaluate STUDY`: train the chosen models for good, over several seeds, and test them once."""

import concurrent.futures
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hpo.config import StudyConfig, check_field, restore_config
from hpo.errors import BadInput
from hpo.terminal.command import DONE, NO_SUCCESS, StudyCommand, check_writable, field_option, quiet_libraries
from hpo.worker.costs import write_atomically
from studies.attributes import FINAL, OPTIONS, STUDY_ID

if TYPE_CHECKING:
    from hpo.final.training import FinalJob
    from hpo.worker.facts import Facts
    from studies.finals import FinalModel, FinalRun

POLL_SECONDS = 0.2
SAME = {"dataset_digest": "data", "split_digest": "split", "weights_digest": "weights"}  # by the names of `Facts`
NOTE = "## Final evaluation"  # the heading of what is ours in the study's note


class NoAnswer(RuntimeError):
    """A worker died or gave no sign of life; the message is one line."""


def evaluate(
    config: StudyConfig, study: Any, pick: str, trials: str | None, seeds: int
) -> tuple[list["FinalModel"], int]:
    """The whole job: the models, best first, and how many runs failed.

    Errors: BadInput; NoAnswer before the first run; what `hpo.final.training.look` raises.
    """
    from hpo.final.selection import baseline, choose, jobs_for
    from hpo.final.training import look
    from hpo.worker.pool import Workers
    from studies.finals import summarise
    from studies.records import read_study
    from studies.storage import database_lock, writer_lock

    log = config.study_dir / "worker.log"
    with (
        database_lock(config.storage, config.study_name),
        writer_lock(config.study_dir / ".lock", config.study_name),
        Workers(min(1, config.workers), config.device, log) as workers,
    ):
        records = read_study(study)
        finalists = choose(records, pick, trials)
        facts = wait(workers.submit(look, config))
        check_same(study, facts)
        beside = baseline(records, config, facts.resolutions[-1])
        if beside is None:
            click.echo("no pretrained baseline: this study trains from scratch")
        else:
            finalists.append(beside)
        finals = jobs_for(finalists, seeds, config, facts, study.user_attrs[STUDY_ID])
        runs, failures = run_all(finals, workers)
        models = summarise(runs, {one.label: one.search_accuracy for one in finalists})
        if models:
            write_results(models, facts, config)
            keep(study, models, facts.class_names, config)
    return models, len(failures)


def check_same(study: Any, facts: "Facts") -> None:
    """Errors: BadInput if data, split or weights are not what the search chose with."""
    from studies.fingerprint import fingerprint_of

    kept = fingerprint_of(study)
    now = {name: getattr(facts, name) for name in SAME}
    then = {"dataset_digest": kept.dataset_digest, "split_digest": kept.split, "weights_digest": kept.weights}
    if odd := [said for name, said in SAME.items() if now[name] != then[name]]:
        raise BadInput(
            f"study {study.study_name} was made with other {' and '.join(odd)} than are here: "
            "what it chose cannot be evaluated"
        )


def finished(final: "FinalJob") -> "FinalRun | None":
    """The result that an earlier call left, if it is of the same run."""
    from studies.finals import FinalRun

    try:
        run = FinalRun.from_json(final.result_path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    job = final.job
    same = (run.study_id, run.candidate, run.epochs) == (job.study_id, job.candidate, final.epochs)
    whole = (run.costs or not final.measure) and run.shape and final.model_path.is_file()
    return run if same and whole and run.machine == job.facts.machine else None


def run_all(finals: Sequence["FinalJob"], workers: Any) -> tuple[list["FinalRun"], list[str]]:
    """Results of all runs and why some failed, one after the other: latencies are measured between them."""
    from hpo.final.training import train_final
    from studies.finals import name_of

    runs, failures = [], []
    for number, final in enumerate(finals, start=1):
        where = f"[{number}/{len(finals)}] {name_of(final.label)}, seed {final.seed}"
        run = finished(final)
        if run is not None:
            click.echo(f"{where}: test accuracy {run.scores.accuracy:.4f}, done before")
            runs.append(run)
            continue
        why = _attempt(workers, train_final, final)
        run = None if why else finished(final)
        if run is None:
            failures.append(f"{where}: {why or 'left no result'}")
            click.echo(failures[-1])
            continue
        seconds = sum(run.seconds.values())
        click.echo(f"{where}: test accuracy {run.scores.accuracy:.4f}, trained in {seconds:.1f} s")
        runs.append(run)
    return runs, failures


def _attempt(workers: Any, function: Any, final: "FinalJob") -> str:
    """Why a run failed, or nothing."""
    alive = final.job.progress_path
    write_atomically(alive, "{}")  # the clock of the stall timeout starts here
    try:
        return wait(workers.submit(function, final), alive, final.job.config.stall_timeout)
    except NoAnswer as error:
        return str(error)
    finally:
        alive.unlink(missing_ok=True)


def wait(future: "concurrent.futures.Future[Any]", alive: Path | None = None, seconds: float = float("inf")) -> Any:
    """What a worker brings back; Ctrl-C ends the wait.

    Errors: NoAnswer if the worker died, or renewed the file `alive` for so many seconds no more.
    """
    import pebble

    from hpo.search.telling import explain_death

    while not future.done():
        concurrent.futures.wait([future], timeout=POLL_SECONDS)
        if alive is not None and alive.exists() and time.time() - alive.stat().st_mtime > seconds:
            future.cancel()  # pebble ends the worker and starts another
    try:
        return future.result()
    except concurrent.futures.CancelledError as error:
        raise NoAnswer(f"no sign of life for {seconds:g} s") from error
    except (pebble.ProcessExpired, concurrent.futures.process.BrokenProcessPool, MemoryError) as error:
        raise NoAnswer(explain_death(error)) from error


def write_results(models: Sequence["FinalModel"], facts: "Facts", config: StudyConfig) -> list[Path]:
    """Tables of all models, and card, numbers by class and confusion matrix of each; returns the paths."""
    from studies.tables import finals

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
        folder / "final.csv": finals.to_csv(models),
        folder / "final.json": json.dumps([finals.values(model) for model in models], indent=1),
        folder / "final.md": finals.to_markdown(models),
        folder / "final.tex": finals.to_latex(models, f"{facts.dataset}, {facts.machine['device']}"),
    }
    for model in models:
        own = folder / model.label
        texts[own / "card.md"] = finals.card(model, facts.class_names, about)
        texts[own / "per_class.csv"] = finals.per_class_csv(model, facts.class_names)
        texts[own / "confusion.csv"] = finals.confusion_csv(model, facts.class_names)
    for path, text in texts.items():
        write_atomically(path, text)
    return list(texts)


def keep(study: Any, models: Sequence["FinalModel"], class_names: Sequence[str], config: StudyConfig) -> None:
    """Write the results into the study, where the dashboard shows them.

    The table as the attribute `final`, and into its note behind what else is there; pictures and card of each model as
    files of its trial.
    """
    import optuna_dashboard

    from studies.artifacts import annotate, attach
    from studies.plots.finals import write
    from studies.tables import finals

    study.set_user_attr(FINAL, [finals.values(model) for model in models])
    others = optuna_dashboard.get_note(study).partition(NOTE)[0]
    annotate(study, f"{others}{NOTE}\n\n{finals.to_markdown(models)}")
    for model in models:
        folder = config.study_dir / "final" / model.label
        files = write(model, class_names, folder)
        if model.label.isdecimal():  # the baseline is no trial of its own
            for path in [*files, folder / "card.md"]:
                attach(study, config.out, path, int(model.label))


def _print(models: Sequence["FinalModel"], folder: Path) -> None:
    from rich import box
    from rich.table import Table

    from hpo.terminal.display import make_console
    from studies.tables.finals import METHOD, TERMINAL, cells

    seeds = len(models[0].runs)
    title = f"On the test pictures, means over {seeds} seed{'s' * (seeds > 1)}"
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left")
    for head in TERMINAL:
        table.add_column(head, justify="left" if head == "model" else "right")
    for model in models:
        table.add_row(*cells(model, TERMINAL))
    console = make_console()
    console.print(table)
    console.print(METHOD)
    click.echo(f"\nFiles in {folder}:")
    click.echo("  final{.csv,.json,.md,.tex}")
    click.echo("  <model>/card.md, per_class.csv, confusion.csv, confusion.png, curves.png")
    click.echo("  <model>/seed-<n>/model.keras, predictions.npz, result.json")


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
    several seeds, and tested once on the test pictures, which nothing else reads. The frozen pretrained baseline is
    among them. The same command again continues.
    """
    from studies.storage import load_study, storage_trouble

    quiet_libraries()
    places["storage"] = check_field("storage", places["storage"])
    with storage_trouble(places["storage"]):
        loaded = load_study(places["storage"], study)
        config = restore_config(loaded.user_attrs.get(OPTIONS), study, places)
        check_writable(config.out, config.cache_dir)
        try:
            models, failures = evaluate(config, loaded, pick, trials, seeds)
        except NoAnswer as error:
            click.echo(f"error: {error}", err=True)
            return NO_SUCCESS
    if models:
        _print(models, config.study_dir / "final")
    if failures:
        click.echo(f"error: {failures} runs failed; the same command tries them again", err=True)
    return NO_SUCCESS if failures else DONE


if __name__ == "__main__":
    main()
