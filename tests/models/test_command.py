"""models/command.py: what every command shares; here what the shell asks of an installed name."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from models.command import OneLineCommand

ROOT = Path(__file__).parent.parent.parent
DOCS = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
SHELLS = {"bash": "complete -o nosort -F", "zsh": "#compdef hpo-run", "fish": "complete --no-files --command hpo-run"}


def test_help_has_two_names_whatever_else_a_command_sets():
    command = click.command(cls=OneLineCommand, context_settings={"show_default": True})(lambda: None)
    assert command.context_settings == {"help_option_names": ["-h", "--help"], "show_default": True}
    assert "-h, --help" in CliRunner().invoke(command, ["-h"]).output


def installed(instruction: str, **variables: str) -> subprocess.CompletedProcess:
    """`hpo-run` as the shell calls it for its completion."""
    code = "import sys; from hpo.run import main; sys.argv[:] = ['hpo-run']; sys.exit(main())"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "_HPO_RUN_COMPLETE": instruction, **variables}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("shell", SHELLS)
def test_the_shell_is_told_how_to_complete(shell):
    done = installed(f"{shell}_source")
    assert done.returncode == 0 and SHELLS[shell] in done.stdout, done.stderr
    assert f"_HPO_RUN_COMPLETE={shell}_source hpo-run" in DOCS


def test_options_are_completed():
    done = installed("bash_complete", COMP_WORDS="hpo-run --bac", COMP_CWORD="1")
    assert (done.returncode, done.stdout) == (0, "plain,--backbone\n"), done.stderr
    several = installed("bash_complete", COMP_WORDS="hpo-run --list", COMP_CWORD="1").stdout
    assert several.split() == ["plain,--list-backbones", "plain,--list-datasets"]


@pytest.mark.parametrize("words", [["-m", "hpo.run"], ["-m", "datasets.preview"], ["-c", "import hpo.run"]])
def test_ctrl_c_while_a_command_is_imported_shows_no_traceback(tmp_path, words):
    """Of a script of the user's it is Python's own business."""
    (tmp_path / "click.py").write_text("import time\nprint('importing', flush=True)\ntime.sleep(60)\n")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    command = [sys.executable, *words]
    # A job in the background of a shell inherits that Ctrl-C is ignored; a user's terminal does not.
    not_ignored = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    with subprocess.Popen(
        command, env=environment, cwd=tmp_path, stdout=-1, stderr=-1, text=True, **not_ignored
    ) as process:
        assert process.stdout and process.stdout.readline() == "importing\n"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGINT
    assert ("KeyboardInterrupt" in said) == (words[0] == "-c"), said


def test_a_command_that_has_begun_hears_of_ctrl_c():
    @click.command(cls=OneLineCommand)
    def command():
        signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        with pytest.raises(SystemExit) as ended:
            command.main([], "x")
        assert ended.value.code == 130
    finally:
        signal.signal(signal.SIGINT, before)
