"""What all commands share: one line for a mistake, exit codes, and the two options that name a study's place."""

import errno
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any, Literal, NoReturn, get_args, get_origin

import click

from hpo.config import Group, StudyConfig, check_field, meta
from hpo.errors import MISTAKES, BadField, StorageError, StudyStopped, TaskFailed, WorkerLost
from models.command import OneLineCommand, fail

# Exit codes, as documented in --help and in the README.
DONE, NO_SUCCESS, STORAGE_TROUBLE = 0, 1, 3  # 2 and 130 are those of every command

# What the machine may refuse however careful we are: no space, no permission, a read-only file system, a quota.
FOLDER_TROUBLE = (errno.ENOSPC, errno.EACCES, errno.EPERM, errno.EROFS, errno.EDQUOT)


class StudyCommand(OneLineCommand):
    """A command on studies: SIGTERM is an interruption, trouble with the database has its own exit code."""

    mistakes = MISTAKES

    def main(self, args: Any = None, prog_name: str | None = None, **extra: Any) -> NoReturn:  # type: ignore[override]
        """Run the command; whatever goes wrong in a study ends it with one line and its own exit code."""
        signal.signal(signal.SIGTERM, _interrupt)
        try:
            super().main(args, prog_name, **extra)
        except Exception as error:
            if isinstance(error, (TaskFailed, WorkerLost, StudyStopped)):
                fail(str(error), NO_SUCCESS)
            if isinstance(error, StorageError):
                fail(str(error), STORAGE_TROUBLE)
            if isinstance(error, OSError) and error.errno in FOLDER_TROUBLE:
                fail(f"{error.filename or 'a file'}: {error.strerror}", STORAGE_TROUBLE)
            raise

    def wording(self, mistake: Exception) -> str:
        """A mistake as this command tells it: fields are its options."""
        return mistake.as_option if isinstance(mistake, BadField) else str(mistake)


class FieldOption(click.Option):
    """An option that is a field of `StudyConfig`, with the group in which the help shows it."""

    def __init__(self, *args: Any, group: str, **settings: Any):
        super().__init__(*args, **settings)
        self.group = group


class GroupedCommand(StudyCommand):
    """A command whose help shows the fields of a study by their groups, and behind them what else it takes."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options under the headings of their groups."""
        sections: dict[str, list[tuple[str, str]]] = {group.capitalize(): [] for group in Group}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                group = parameter.group if isinstance(parameter, FieldOption) else "options"
                sections.setdefault(group.capitalize(), []).append(record)
        for title, records in ((title, records) for title, records in sections.items() if records):
            with formatter.section(title):
                formatter.write_dl(records)


def field_option(name: str) -> Callable[[Any], Any]:
    """The command-line option for a field of `StudyConfig`: its help, default and environment variable."""
    field = StudyConfig.model_fields[name]
    env = meta(name, "env")
    flag = "--" + name.replace("_", "-")
    text = field.description or ""
    choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    if field.annotation is bool:
        return click.option(flag, cls=FieldOption, group=meta(name, "group"), is_flag=True, default=None, help=text)
    if field.default is not None and "default" not in text:
        text += f"  [default: {field.default}]"
    return click.option(
        flag,
        cls=FieldOption,
        group=meta(name, "group"),
        type=click.UNPROCESSED,
        default=None,
        envvar=env or None,
        show_envvar=env != "",
        metavar=f"[{'|'.join(choices)}]" if choices else name.upper(),
        help=text,
    )


code_option = click.option(
    "--backbone",
    "--hypermodel",
    "backbone",
    metavar="CODE",
    help="where the study is of a network or a HyperModel of your own: its code, such as path/file.py:build",
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


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
