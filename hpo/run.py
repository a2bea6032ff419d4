"""`python -m hpo.run`: search for the best ways to turn a pretrained Keras network into your classifier.

From the command line to the database: here -> `hpo.config` -> `hpo.study` -> `hpo.search.run` -> `hpo.worker.trial`
(in a worker) -> `studies.storage`.
"""

import sys
from collections.abc import Sequence
from typing import Any

import click

from hpo.config import Group, StudyConfig, load_preset, make_config
from hpo.errors import MISTAKES, BadField, StudyStopped
from hpo.terminal.command import DONE, NO_SUCCESS, FieldOption, GroupedCommand, field_option
from models.backbones import get_backbone
from models.catalogue import UNPUBLISHED
from models.command import BAD_INPUT
from models.own.registry import named
from studies.presets import PRESETS

HYPERMODEL = (
    "in place of --backbone: a keras_tuner.HyperModel, such as my_module:Class or path/file.py:Class, an instance or a "
    "function from hyperparameters to a compiled model; its hyperparameters are searched"
)
EPILOG = """\b
Exit codes: 0 done; 1 no trial succeeded, or three in a row failed in the same way;
2 bad input; 3 storage trouble; 130 interrupted (the same command continues)."""


def _all_fields(function: Any) -> Any:
    for name in reversed(StudyConfig.model_fields):
        function = field_option(name)(function)
    return function


@click.command(
    cls=GroupedCommand,
    epilog=EPILOG,
    context_settings={"max_content_width": 110},
)
@_all_fields
@click.option(
    "--preset",
    default="standard",
    metavar="PRESET",
    help=f"{', '.join(PRESETS)}, or your own TOML file; options override it  [default: standard]",
)
@click.option("--hypermodel", cls=FieldOption, group=Group.WHAT, metavar="CODE", help=HYPERMODEL)
@click.option("--adopt", is_flag=True, help="the database is lost: make a study of what trials left below --out")
@click.option("--list-backbones", is_flag=True, help="print a table of networks and exit")
@click.option("--list-datasets", is_flag=True, help="print a table of data sets and exit")
def main(
    preset: str, hypermodel: str | None, adopt: bool, list_backbones: bool, list_datasets: bool, **options: Any
) -> int:
    """Search for the best ways to turn a pretrained Keras network into a classifier for your pictures.

    Searches how much of the network is kept, unfreeze depth, head width, dropout, learning rate and schedule, and
    input resolution; measures validation accuracy, latency and FLOPs of each candidate; and ends in a Pareto front. Run
    the same command again to continue.
    """
    if list_backbones or list_datasets:
        from hpo.terminal.listings import print_backbones, print_datasets

        if list_backbones:
            print_backbones()
        if list_datasets:
            print_datasets()
        return DONE
    given = {name: value for name, value in options.items() if value is not None}
    configs = [of_hypermodel(given, hypermodel, preset)] if hypermodel is not None else each_backbone(given, preset)
    words = [word for word in sys.argv[1:] if word != "--adopt"]  # for the hint on how to go on
    return run(configs[0], words, adopt=adopt) if len(configs) == 1 else run_each(configs, words, adopt=adopt)


def each_backbone(options: dict[str, Any], preset: str) -> list[StudyConfig]:
    """A configuration for each backbone that `--backbone` names.

    Of several, one without published weights is trained from scratch, unless `--weights` says what it begins with.

    Args:
        options: those that were given, by name.
        preset: its name or file; empty without one.

    Raises:
        BadInput: before anything is run.
    """
    loaded = {**load_preset(preset), **options}
    names = list(dict.fromkeys(part.strip() for part in str(loaded.get("backbone", "")).split(",") if part.strip()))
    if "backbone" in options:  # a preset cannot name code
        names = [named(name) for name in names]
    if len(names) < 2:
        return [make_config({**options, "backbone": names[0]} if names else options, preset)]
    if loaded.get("study"):
        raise BadField("study", f"must be left out with several backbones. Received: {loaded['study']}")
    configs = []
    for name in names:
        weights = loaded.get("weights") or default_weights(name)
        try:
            configs.append(make_config({**options, "backbone": name, "weights": weights}, preset))
        except BadField as error:
            raise BadField(error.field, f"{error.text} (backbone {name}, weights {weights})") from error
    from hpo.study import check_one_size

    check_one_size(configs)
    return configs


def of_hypermodel(options: dict[str, Any], code: str, preset: str) -> StudyConfig:
    """The configuration of a study of a HyperModel.

    Args:
        options: those that were given, by name.
        code: where it is.
        preset: its name or file.

    Raises:
        BadInput: before anything is run.
    """
    if "backbone" in options:
        raise BadField("hypermodel", f"takes the place of backbone. Received: {code} and {options['backbone']}")
    return make_config({**options, "backbone": named(code, hypermodel=True)}, preset)


def default_weights(backbone: str) -> str:
    """pretrained, or none where there are none."""
    return "none" if get_backbone(backbone).weights == UNPUBLISHED else "pretrained"


def run_each(configs: Sequence[StudyConfig], words: Sequence[str] = (), parts: Any = None, adopt: bool = False) -> int:
    """A study for each backbone, then their comparison; the exit code of the first that did not succeed, or 0.

    One that cannot be run, for its weights say, is named and the others are run all the same.
    """
    from hpo.study import compare_studies
    from hpo.terminal.tables import show_comparison

    codes = []
    for number, config in enumerate(configs, start=1):
        scratch = ", from scratch" if config.weights == "none" else ""
        click.echo(f"\n[{number}/{len(configs)}] {config.backbone}{scratch}")
        try:
            codes.append(run(config, words, parts, adopt))
        except MISTAKES as error:
            click.echo(f"error: {config.backbone}: {error}", err=True)
            codes.append(BAD_INPUT)
    done = [config for config, code in zip(configs, codes, strict=True) if code == DONE]
    if done:
        click.echo("\nComparison")
        names = [config.study_name for config in done]
        show_comparison(compare_studies(names, storage=done[0].storage, out=done[0].out))
    return next((code for code in codes if code != DONE), DONE)


def run(config: StudyConfig, words: Sequence[str] = (), parts: Any = None, adopt: bool = False) -> int:
    """One study; returns the exit code.

    Args:
        config: of the study.
        words: the arguments of this command, for the hint on how to go on.
        parts: stand in for those of the search.
        adopt: make a new study of what an earlier one left in the folder of results.
    """
    from hpo.study import load_study, run_study

    stopped = ""
    try:
        records = run_study(config, progress=True, parts=parts, adopt=adopt).records
    except StudyStopped as error:
        stopped, records = str(error), error.records
    from hpo.terminal.console import make_console  # not before: a search's first worker need not wait for these
    from hpo.terminal.hints import show_files, why_none
    from hpo.terminal.tables import show_front
    from studies.records import complete

    if not complete(records):
        click.echo(f"error: {stopped or 'no trial succeeded: ' + why_none(records)}", err=True)
        return NO_SUCCESS
    study = load_study(config.study_name, storage=config.storage, out=config.out)
    files = study.export()
    show_front(make_console(), records)
    show_files(config, files, words)
    if stopped:
        click.echo(f"error: {stopped}", err=True)
        return NO_SUCCESS
    return DONE


if __name__ == "__main__":
    main()
