"""What commands end with in words: why nothing succeeded, which files there are, and how to go on."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpo.config import StudyConfig
from models.own.registry import code_of
from studies.records import State, TrialRecord
from studies.tables.trials import describe

if TYPE_CHECKING:
    from hpo.reporting.files import ReportFiles


def why_none(records: Sequence[TrialRecord]) -> str:
    """Why a study has no completed trial, in one line."""
    over = [record for record in records if record.state == State.INFEASIBLE and record.measurement]
    failed = [record.reason for record in records if record.state == State.FAILED]
    if over and not failed:
        least = min(over, key=lambda record: sum(max(value, 0) for value in record.constraints.values()))
        assert least.latency_ms is not None and least.flops is not None
        return (
            f"all were over budget; the closest has {least.latency_ms:.3g} ms and {least.flops / 1e9:.3g} GFLOPs "
            f"({describe(least.candidate)})"
        )
    return "; ".join(dict.fromkeys(failed)) or "no trial was finished in the time given"


def show_files(config: StudyConfig, files: Sequence[Path], words: Sequence[str]) -> None:
    """The files of a study, and commands to go on with; `words` are the arguments of this one."""
    click.echo(f"\nFiles in {config.study_dir}:")
    stems: dict[str, list[str]] = {}
    for path in files:
        stems.setdefault(path.stem, []).append(path.suffix)
    for stem, suffixes in stems.items():
        click.echo(f"  {stem}{{{','.join(suffixes)}}}")
    click.echo("  trials/  every trial's numbers, learning curve and machine as JSON")
    storage = (
        ""
        if config.storage == StudyConfig.model_fields["storage"].default
        else f" --storage {shlex.quote(config.storage)}"
    )
    out = "" if config.out == StudyConfig.model_fields["out"].default else f" --out {shlex.quote(str(config.out))}"
    own = code_of(config.backbone)
    option = "hypermodel" if config.is_hypermodel else "backbone"
    code = f" --{option} {shlex.quote(own)}" if own else ""
    click.echo("\nGo on with:")
    click.echo(f"  python -m hpo.run {shlex.join(with_more_trials(words, config.trials))}   # more trials")
    again = f"{config.study_name}{code}{storage}{out}"
    click.echo(f"  python -m hpo.evaluate {again}   # train the front once more, and test it")
    click.echo(f"  python -m hpo.report {again}   # a page to hand in")
    click.echo(f"  python -m hpo.export {config.study_name}{storage}{out}   # write these files again")
    click.echo(f"  python -m hpo.dashboard{storage}   # the study in a browser")


def with_more_trials(words: Sequence[str], trials: int) -> list[str]:
    """A run's arguments with twice the trials."""
    others, skip = [], False
    for word in words:
        if skip or word.startswith("--trials="):
            skip = False
            continue
        if word == "--trials":
            skip = True
            continue
        others.append(word)
    return [*others, "--trials", str(2 * trials)]


def show_report(report: "ReportFiles") -> None:
    """Where the page is, how many tables and figures there are, and what is missing."""
    page = report.page
    click.echo(f"{page}  {page.stat().st_size / 2**20:.1f} MiB, opens in any browser, needs no network")
    for kind in ("tables", "figures", "pictures"):
        written = [path for path in report.written if path.parent.name == kind]
        suffixes = ",".join(dict.fromkeys(path.suffix[1:] for path in written))
        if written:
            click.echo(f"{report.folder / kind}/  {len({path.stem for path in written})} {kind} as {suffixes}")
    for path in report.written:
        if path.suffix == ".pdf" and path.parent == report.folder:
            click.echo(path)
    for line in report.missing:
        click.echo(f"missing: {line}")
