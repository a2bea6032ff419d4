"""What all commands share: one line for a mistake, exit codes, and the two options that name a study's place."""

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

import click

from datasets import DataError
from hpo import BadInput
from hpo.config import StudyConfig, check_field
from models import ModelError

# Exit codes, as documented in --help and in the README.
DONE, NO_SUCCESS, BAD_INPUT, STORAGE_TROUBLE, INTERRUPTED = 0, 1, 2, 3, 130


class StudyCommand(click.Command):
    """A click command whose errors are one line on standard error, with the documented exit codes."""

    def main(  # type: ignore[override]
        self, args: Any = None, prog_name: str | None = None, **extra: Any
    ) -> NoReturn:
        signal.signal(signal.SIGTERM, _interrupt)
        try:
            code = super().main(args, prog_name, standalone_mode=False, **extra)
        except click.ClickException as error:
            fail(error.format_message(), BAD_INPUT)
        except (BadInput, DataError, ModelError) as error:
            fail(str(error), BAD_INPUT)
        except (KeyboardInterrupt, click.Abort):
            fail("interrupted; what is finished is kept", INTERRUPTED)
        except BrokenPipeError:  # the reader of our output has gone: `| head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(DONE)
        except Exception as error:
            # Imported late: SQLAlchemy costs more than --help may take.
            from studies.storage import StorageError, StudyRefused

            if isinstance(error, StudyRefused):
                fail(str(error), BAD_INPUT)
            if isinstance(error, StorageError):
                fail(str(error), STORAGE_TROUBLE)
            raise
        sys.exit(code or DONE)


def fail(message: str, code: int) -> NoReturn:
    click.echo("error: " + " ".join(message.split()), err=True)
    sys.exit(code)


def field_option(name: str) -> Callable[[Any], Any]:
    """The command-line option for a field of `StudyConfig`: its help, default and environment variable."""
    field = StudyConfig.model_fields[name]
    extra = field.json_schema_extra
    env = extra.get("env") if isinstance(extra, dict) else None
    flag = "--" + name.replace("_", "-")
    text = field.description or ""
    if field.annotation is bool:
        return click.option(flag, is_flag=True, default=None, help=text)
    if field.default is not None and "default" not in text:
        text += f"  [default: {field.default}]"
    return click.option(
        flag,
        type=click.UNPROCESSED,
        default=None,
        envvar=env if env else None,
        show_envvar=env is not None,
        metavar=name.upper(),
        help=text,
    )


storage_option = click.option(
    "--storage",
    default=None,
    envvar="HPO_STORAGE",
    show_envvar=True,
    metavar="URL",
    callback=lambda _ctx, _param, value: check_field("storage", value),
    help=f"database of all studies  [default: {StudyConfig.model_fields['storage'].default}]",
)
out_option = click.option(
    "--out",
    default=None,
    metavar="FOLDER",
    callback=lambda _ctx, _param, value: check_field("out", value),
    help=f"folder for results  [default: {StudyConfig.model_fields['out'].default}]",
)


def quiet_libraries() -> None:
    """No chatter on the terminal but ours: Optuna's lines repeat what the display shows."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
