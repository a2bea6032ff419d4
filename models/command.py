"""What every command of the project shares: a user's mistake is one line on standard error and exit code 2."""

import os
import signal
import sys
from typing import Any, NoReturn

import click

from models import ModelError

BAD_INPUT, INTERRUPTED = 2, 130


class OneLineCommand(click.Command):
    """A click command without usage blocks and tracebacks for what the user got wrong.

    `mistakes` are the exceptions that are the user's; all others are ours and stay tracebacks.
    """

    mistakes: tuple[type[Exception], ...] = (ModelError,)

    def __init__(self, *args: Any, **settings: Any):
        own = settings.pop("context_settings", None) or {}
        settings["context_settings"] = {"help_option_names": ["-h", "--help"], **own}
        super().__init__(*args, **settings)

    def main(self, args: Any = None, prog_name: str | None = None, **extra: Any) -> NoReturn:  # type: ignore[override]
        """Run the command; mistakes end it with one line and an exit code."""
        if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # see `hpo`, which had nothing to keep yet
            signal.signal(signal.SIGINT, signal.default_int_handler)
        for name in ("stdout", "stderr"):  # closed by who started the command; files would get their numbers
            if getattr(sys, name) is None:
                setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
        try:
            code = super().main(args, prog_name, standalone_mode=False, **extra)
        except click.ClickException as error:
            fail(error.format_message(), BAD_INPUT)
        except self.mistakes as error:
            fail(self.wording(error), BAD_INPUT)
        except (KeyboardInterrupt, click.Abort):
            fail("interrupted; what is finished is kept", INTERRUPTED)
        except BrokenPipeError:  # the reader of our output has gone: `| head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(INTERRUPTED)
        sys.exit(code or 0)

    def wording(self, mistake: Exception) -> str:
        """A mistake as this command tells it."""
        return str(mistake)


def fail(message: str, code: int) -> NoReturn:
    """End the process with one line on standard error."""
    words = " ".join(message.split())
    click.echo("error: " + "".join(letter if letter.isprintable() else "?" for letter in words), err=True)
    sys.exit(code)
