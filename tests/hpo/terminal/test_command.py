"""The door: exit codes, one line for a mistake, help in under a second's worth of imports."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import hpo.run
from datasets import DataError
from hpo.config import StudyConfig, meta
from hpo.errors import BadInput
from hpo.terminal.command import StudyCommand, field_option
from models import ModelError
from studies.storage import StorageError, StudyRefused

ROOT = Path(__file__).parent.parent.parent.parent


def outcome_of(capsys, error=None, code=None, args=()):
    @click.command(cls=StudyCommand)
    def command():
        if error is not None:
            raise error
        return code

    with pytest.raises(SystemExit) as ended:
        command.main(list(args), "x")
    return ended.value.code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BadInput("a\nb"), 2),
        (DataError("a b"), 2),
        (ModelError("a b"), 2),
        (StudyRefused("a b"), 2),
        (StorageError("a b"), 3),
    ],
)
def test_a_users_mistake_is_one_line(capsys, error, code):
    assert outcome_of(capsys, error) == (code, "error: a b\n")


def test_interrupted(capsys):
    code, text = outcome_of(capsys, KeyboardInterrupt())
    assert (code, text.strip()) == (130, "error: interrupted; what is finished is kept")


@pytest.mark.parametrize("code", [None, 0, 1])
def test_the_commands_own_code(capsys, code):
    assert outcome_of(capsys, code=code) == (code or 0, "")


def test_our_own_mistake_is_not_swallowed():
    @click.command(cls=StudyCommand)
    def command():
        raise KeyError("ours")

    with pytest.raises(KeyError, match="ours"):
        command.main([], "x")


def test_an_unknown_option_is_one_line(capsys):
    code, text = outcome_of(capsys, args=["--trails", "3"])
    assert (code, text.count("\n")) == (2, 1)
    assert "--trails" in text


@pytest.mark.parametrize("name", list(StudyConfig.model_fields))
def test_help_of_each_option_has_its_default(name):
    @click.command()
    @field_option(name)
    def command(**values):
        pass

    (option,) = command.params
    assert option.help
    default = StudyConfig.model_fields[name].default
    assert isinstance(default, bool) or str(default) in option.help or "default" in option.help or default is None


def test_the_help_of_an_option_names_its_choices():
    @click.command()
    @field_option("sampler")
    def command(**values):
        pass

    assert "--sampler [auto|planner|tpe|nsga2|nsga3|random|gp]" in CliRunner().invoke(command, ["--help"]).output


def test_the_help_of_a_search_shows_every_option_in_its_group():
    lines = CliRunner().invoke(hpo.run.main, ["--help"], prog_name="hpo.run").output.splitlines()
    groups: dict[str, list[str]] = {}
    title = ""
    for line in lines:
        if line.endswith(":") and not line.startswith(" "):
            title = line.removesuffix(":")
        elif line.startswith(("  --", "  -h")):
            groups.setdefault(title, []).append(line.split()[0].rstrip(","))
    assert list(groups) == ["What", "Search", "Budget", "Stopping", "Reuse", "Where", "Machine", "Options"]
    assert groups["Stopping"] == ["--stopping", "--reduction-factor"]
    assert groups["Options"] == ["--preset", "--adopt", "--list-backbones", "--list-datasets", "-h"]
    for name in StudyConfig.model_fields:
        assert "--" + name.replace("_", "-") in groups[meta(name, "group").capitalize()]


def modules_after(code):
    text = f"{code}\nimport sys, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(json.loads(done.stdout.splitlines()[-1]))


HELP = "import hpo.run\ntry:\n    hpo.run.main(['--help'])\nexcept SystemExit: pass"


def test_help_imports_nothing_heavy():
    heavy = {"keras", "tensorflow", "optuna", "sqlalchemy", "plotly", "matplotlib", "sklearn", "rich.live"}
    assert not heavy & modules_after(HELP)


@pytest.mark.slow
def test_the_parent_of_a_study_never_imports_keras():
    loaded = modules_after(
        "import hpo.run, hpo.search.run, hpo.terminal.display, hpo.export, hpo.worker.trial, hpo.worker.pool, "
        "hpo.study, studies.plots.page, studies.plots.paper, hpo.terminal.listings"
    )
    assert not {"keras", "tensorflow"} & loaded


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_closed_output_is_no_failure(closed):
    """Nor do files that are opened later get its number, and with it what others print."""
    command = f"exec {shlex.quote(sys.executable)} -m hpo.run --list-backbones {closed}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")
