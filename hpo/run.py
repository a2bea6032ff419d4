"""`python -m hpo.run`: search for the best ways to turn a pretrained Keras network into your classifier.

From the command line to the database: here -> `hpo.config` -> `hpo.search.loop` -> `hpo.worker.trial` (in a worker) ->
`studies.storage`; and back out through `hpo.export`.
"""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from datasets import DataError
from datasets.catalogue import DATASETS
from datasets.subset import base_name
from hpo.config import StudyConfig, load_preset, make_config
from hpo.errors import BadInput
from hpo.terminal.command import DONE, NO_SUCCESS, GroupedCommand, check_writable, field_option, quiet_libraries
from models import ModelError
from models.backbones import UNPUBLISHED, get_backbone
from models.command import BAD_INPUT
from studies.presets import PRESETS

if TYPE_CHECKING:
    from hpo.search.loop import Parts
    from studies.records import TrialRecord

EPILOG = """\b
Exit codes: 0 done; 1 no trial succeeded, or three in a row failed alike;
2 bad input; 3 storage trouble; 130 interrupted (the same command continues)."""


def _all_fields(function: Any) -> Any:
    for name in reversed(StudyConfig.model_fields):
        function = field_option(name)(function)
    return function


@click.command(
    cls=GroupedCommand,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@_all_fields
@click.option(
    "--preset",
    default="standard",
    metavar="PRESET",
    help=f"{', '.join(PRESETS)}, or a TOML file of yours; options override it  [default: standard]",
)
@click.option("--list-backbones", is_flag=True, help="print a table of networks and exit")
@click.option("--list-datasets", is_flag=True, help="print a table of data sets and exit")
def main(preset: str, list_backbones: bool, list_datasets: bool, **options: Any) -> int:
    """Search for the best ways to turn a pretrained Keras network into a classifier for your pictures.

    Searches unfreeze depth, head width, dropout, learning rate and schedule, and input resolution; measures
    validation accuracy, latency and FLOPs of each candidate; ends in a Pareto front. The same command again continues.
    """
    if list_backbones or list_datasets:
        from hpo.terminal.listings import print_backbones, print_datasets

        if list_backbones:
            print_backbones()
        if list_datasets:
            print_datasets()
        return DONE
    configs = each_backbone({name: value for name, value in options.items() if value is not None}, preset)
    quiet_libraries()
    return run(configs[0]) if len(configs) == 1 else run_each(configs)


def each_backbone(options: dict[str, Any], preset: str) -> list[StudyConfig]:
    """A configuration for each backbone that `--backbone` names. Errors: BadInput before anything is run.

    Of several, one without published weights is trained from scratch, unless `--weights` says what it begins with.
    """
    loaded = {**load_preset(preset), **options}
    names = list(dict.fromkeys(part.strip() for part in str(loaded.get("backbone", "")).split(",") if part.strip()))
    if len(names) < 2:
        return [make_config({**options, "backbone": names[0]} if names else options, preset)]
    if loaded.get("study"):
        raise BadInput(f"--study must be left out with several backbones. Received: {loaded['study']}")
    configs = []
    for name in names:
        weights = loaded.get("weights") or default_weights(name)
        try:
            configs.append(make_config({**options, "backbone": name, "weights": weights}, preset))
        except BadInput as error:
            raise BadInput(f"{error} (backbone {name}, weights {weights})") from error
    check_one_size(configs)
    return configs


def check_one_size(configs: Sequence[StudyConfig]) -> None:
    """Errors: BadInput if studies would decode a folder's pictures to different sizes: they could not be compared."""
    from hpo.worker.facts import searched_resolutions  # it imports Optuna, which --help need not wait for

    if base_name(configs[0].dataset) in DATASETS:
        return  # pictures of the catalogue keep their own size
    sides = {config.backbone: searched_resolutions(config)[-1] for config in configs}
    if len(set(sides.values())) > 1:
        said = ", ".join(f"{side} px for {name}" for name, side in sides.items())
        raise BadInput(
            "--resolutions must be given for several backbones on a folder, whose pictures are decoded to the largest "
            f"side: by default that is {said}, and studies on pictures of different sizes cannot be compared"
        )


def default_weights(backbone: str) -> str:
    """pretrained, or none where there are none."""
    return "none" if get_backbone(backbone).weights == UNPUBLISHED else "pretrained"


def run_each(configs: Sequence[StudyConfig], parts: "Parts | None" = None) -> int:
    """A study for each backbone, then their comparison; the exit code of the first that did not succeed, or 0.

    One that cannot be run, for its weights say, is named and the others are run all the same.
    """
    from hpo.compare import compare
    from studies.storage import StudyRefused

    codes = []
    for number, config in enumerate(configs, start=1):
        scratch = ", from scratch" if config.weights == "none" else ""
        click.echo(f"\n[{number}/{len(configs)}] {config.backbone}{scratch}")
        try:
            codes.append(run(config, parts))
        except (BadInput, DataError, ModelError, StudyRefused) as error:
            click.echo(f"error: {config.backbone}: {error}", err=True)
            codes.append(BAD_INPUT)
    done = [config for config, code in zip(configs, codes, strict=True) if code == DONE]
    if done:
        click.echo("\nComparison")
        compare(done[0].storage, [config.study_name for config in done], done[0].out)
    return next((code for code in codes if code != DONE), DONE)


def run(config: StudyConfig, parts: "Parts | None" = None) -> int:
    """The whole job; returns the exit code. `parts` stand in for those of the search."""
    from hpo.export import export_study
    from hpo.search.loop import REAL, run_study
    from hpo.search.telling import StudyStopped
    from hpo.terminal.display import make_display, show_front
    from studies.records import complete

    check_writable(config.out, config.cache_dir)
    display = make_display()
    stopped = None
    try:
        records = run_study(config, display, parts or REAL)
    except StudyStopped as error:
        stopped, records = str(error), error.records
    finally:
        display.close()

    if not complete(records):
        click.echo(f"error: {stopped or 'no trial succeeded: ' + why_none(records)}", err=True)
        return NO_SUCCESS
    files = export_study(config.study_name, records, config.study_dir)
    show_front(display.console, records)
    _show_files(config, files)
    if stopped:
        click.echo(f"error: {stopped}", err=True)
        return NO_SUCCESS
    return DONE


def why_none(records: "Sequence[TrialRecord]") -> str:
    """Why a study has no completed trial, in one line."""
    from studies.records import State
    from studies.tables.trials import describe

    over = [record for record in records if record.state == State.INFEASIBLE and record.measurement]
    failed = [record.reason for record in records if record.state == State.FAILED]
    if over and not failed:
        least = min(over, key=lambda record: sum(max(value, 0) for value in record.constraints.values()))
        assert least.latency_ms is not None and least.flops is not None
        return (
            f"all were over budget; the nearest has {least.latency_ms:.3g} ms and {least.flops / 1e9:.3g} GFLOPs "
            f"({describe(least.candidate)})"
        )
    return "; ".join(dict.fromkeys(failed)) or "none was finished in the time given"


def _show_files(config: StudyConfig, files: list[Path]) -> None:
    click.echo(f"\nFiles in {config.study_dir}:")
    stems: dict[str, list[str]] = {}
    for path in files:
        stems.setdefault(path.stem, []).append(path.suffix)
    for stem, suffixes in stems.items():
        click.echo(f"  {stem}{{{','.join(suffixes)}}}")
    click.echo("  trials/  every trial's numbers, learning curve and machine as JSON")
    place = (
        ""
        if config.storage == StudyConfig.model_fields["storage"].default
        else f" --storage {shlex.quote(config.storage)}"
    )
    out = "" if config.out == StudyConfig.model_fields["out"].default else f" --out {shlex.quote(str(config.out))}"
    click.echo("\nGo on with:")
    click.echo(f"  python -m hpo.run {shlex.join(_with_more_trials(config))}   # more trials")
    click.echo(f"  python -m hpo.export {config.study_name}{place}{out}   # these files again")
    click.echo(f"  python -m hpo.dashboard{place}   # the study in a browser")


def _with_more_trials(config: StudyConfig) -> list[str]:
    """This run's arguments with twice the trials."""
    words = sys.argv[1:]
    kept, skip = [], False
    for word in words:
        if skip or word.startswith("--trials="):
            skip = False
            continue
        if word == "--trials":
            skip = True
            continue
        kept.append(word)
    return [*kept, "--trials", str(2 * config.trials)]


if __name__ == "__main__":
    main()
