"""`python -m hpo.evaluate STUDY`: the final training of the chosen models, over several seeds, and their test."""

from typing import Any

import click

from datasets.wording import counted
from hpo.config import MOST_SEEDS
from hpo.terminal.command import DONE, NO_SUCCESS, StudyCommand, code_option, field_option
from models.export.formats import DEPLOYED


@click.command(cls=StudyCommand)
@click.argument("study")
@click.option("--pick", type=click.Choice(["front", "few"]), default="front", show_default=True,
              help="all members of the front, or its two ends and the recommended one")  # fmt: skip
@click.option("--trials", metavar="N,N,...", help="these trials instead")
@click.option(
    "--seeds", type=click.IntRange(1, MOST_SEEDS), default=3, show_default=True, help="training runs of each model"
)
@click.option("--runtimes", metavar="FORM,FORM,...", help=f"measure each model as deployed too: {', '.join(DEPLOYED)}")
@click.option("--allow-overlap", is_flag=True,
              help="also where over 1 % of the test pictures are among those to train on")  # fmt: skip
@code_option
@field_option("storage")
@field_option("out")
@field_option("cache_dir")
@field_option("data_dir")
@field_option("follow_links")
@field_option("device")
def main(
    study: str, pick: str, trials: str | None, seeds: int, runtimes: str | None, allow_overlap: bool, **places: Any
) -> int:
    """Give the chosen models of STUDY their final training, and test them.

    Each is trained on the training and validation pictures together, for the number of epochs that the search found
    best, with several seeds, and tested once on the test pictures, which nothing else reads. The frozen pretrained
    baseline is among them. With --runtimes each model is also exported from its first run, and its forms are tested on
    the same pictures and timed in the runtime they are deployed with. Run the same command again to continue.
    """
    from hpo.study import load_study
    from hpo.terminal.tables import show_forms, show_models

    loaded = load_study(study, **places)
    models = loaded.evaluate(
        pick, trials, seeds, progress=True, runtimes=() if runtimes is None else runtimes, allow_overlap=allow_overlap
    )
    if len(models):
        show_models([model.final for model in models])
        if forms := models.forms:
            show_forms(forms)
        click.echo(f"\nFiles in {loaded.files.final}:")
        click.echo("  final{.csv,.json,.md,.tex}")
        if forms:
            click.echo("  forms{.csv,.json,.md,.tex,.png,.svg,.pdf}")
        click.echo("  <model>/card.md, per_class.csv, confusion.csv, confusion.png, curves.png")
        click.echo("  <model>/seed-<n>/model.keras, predictions.npz, result.json")
    if models.failures:
        n = len(models.failures)
        what = counted(n, "run") if runtimes is None else f"{n} of the runs and forms"
        click.echo(f"error: {what} failed; the same command tries again", err=True)
    return NO_SUCCESS if models.failures else DONE


if __name__ == "__main__":
    main()
