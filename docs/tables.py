"""The tables of the documentation that are made from the code: options, commands, dimensions, objectives, formats.

    make docs-tables        (PYTHONPATH=. python docs/tables.py)

Writes each table between `<!-- table NAME -->` and `<!-- /table -->` in the pages of this folder, so that the Markdown
shows it anywhere. `tests/test_readme.py` says if a page is out of date.
"""

import functools
import importlib
import math
import re
import tomllib
from collections.abc import Callable, Container, Iterable, Mapping
from pathlib import Path

import click

from hpo.config import StudyConfig
from models.candidate import DIMENSIONS, Architecture, Training
from models.dimension import Dimension, Range, Searched
from models.export.formats import FORMATS
from studies.objectives import OBJECTIVES

HERE = Path(__file__).parent
# The groups of options, as `--help` has them; fields without a group stand in one table.
GROUPS = {
    "what": "What is trained on what",
    "search": "What is searched, and how",
    "budget": "Budget",
    "stopping": "Stopping early",
    "reuse": "Reuse",
    "where": "Where things are kept",
    "machine": "Machine",
}
# What is typed -> where its click command is.
COMMANDS = {
    "hpo.run": "hpo.run:main",
    "hpo.evaluate": "hpo.evaluate:main",
    "hpo.predict": "hpo.predict:main",
    "hpo.export": "hpo.export:main",
    "hpo.report": "hpo.report:main",
    "hpo.compare": "hpo.compare:main",
    "hpo.dashboard": "hpo.dashboard:main",
    "hpo.transfer": "hpo.transfer:main",
    "datasets.preview": "datasets.preview.__main__:command",
    "models.profile": "models.profile:command",
    "models.check": "models.check:command",
    "models.prefix_cache": "models.prefix_cache:command",
    "models.pretrain": "models.pretrain:command",
}
MARKED = re.compile(r"(<!-- table ([\w. -]+) -->\n).*?(<!-- /table -->)", re.DOTALL)


def markdown(*rows: Iterable[str]) -> str:
    """A table; the first row is its head. What Markdown and HTML would take for their own is escaped."""
    lines = ["| " + " | ".join(_escaped(text) for text in row) + " |" for row in rows]
    lines.insert(1, "|" + " --- |" * lines[0].replace("\\|", "").count(" | ") + " --- |")
    return "\n".join(lines)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def options() -> str:
    """Every option of `hpo.run`, in its group where fields have one."""
    groups: dict[str, list[str]] = {}
    for name in StudyConfig.model_fields:
        groups.setdefault(str(_extra(name).get("group", "")), []).append(name)
    tables = []
    for group in sorted(groups, key=lambda one: [*GROUPS, one].index(one)):
        title = f"### {GROUPS.get(group, group.capitalize())}\n\n" if group else ""
        tables.append(title + markdown(("option", "default", "meaning"), *map(_option_row, groups[group])))
    tables.append("### Presets and lists\n\n" + command_options("hpo.run", leave_out=StudyConfig.model_fields))
    return "\n\n".join(tables)


def _extra(name: str) -> Mapping[str, object]:
    extra = StudyConfig.model_fields[name].json_schema_extra
    return extra if isinstance(extra, dict) else {}


def _option_row(name: str) -> tuple[str, str, str]:
    field = StudyConfig.model_fields[name]
    text, _, words = str(field.description).partition("; default ")
    plain = "off" if field.default is False else "" if field.default is None else f"`{field.default}`"
    if isinstance(field.default, tuple) and words == ",".join(field.default):
        words = f"`{words}`"
    env = f" (environment: `{_extra(name)['env']}`)" if _extra(name).get("env") else ""
    return f"`--{name.replace('_', '-')}`", words or plain, text + env


def presets() -> str:
    """What each preset sets, the quickest first."""
    files = (HERE.parent / "studies" / "presets").glob("*.toml")
    values = {path.stem: tomllib.loads(path.read_text(encoding="utf-8")) for path in files}
    fields = sorted({field for preset in values.values() for field in preset}, reverse=True)
    rows = [
        (f"`{name}`", *(str(values[name].get(field, "")) for field in fields))
        for name in sorted(values, key=lambda name: values[name]["trials"])
    ]
    return markdown(("preset", *(f"`--{field.replace('_', '-')}`" for field in fields)), *rows)


def command_options(name: str, leave_out: Container[str] = ()) -> str:
    """The options and arguments of a command, as its `--help` has them."""
    module, _, function = COMMANDS[name].partition(":")
    command = getattr(importlib.import_module(module), function)
    context = click.Context(command, info_name=name, **command.context_settings)
    wanted = [one for one in command.params if isinstance(one, click.Option) and one.name not in leave_out]
    records = [record for one in wanted if (record := one.get_help_record(context))]
    return markdown(("option", "default", "meaning"), *(_command_row(*record) for record in records))


def _command_row(words: str, text: str) -> tuple[str, str, str]:
    """From `--seeds INTEGER RANGE` and `training runs  [default: 3; 1<=x<=100]`."""
    words = words.replace("INTEGER RANGE", "N").replace("FLOAT RANGE", "X").replace("|", " or ")
    text = " ".join(text.split())
    default, behind = "", ""
    while found := re.search(r" \[([^\[\]]*)\]$", text):
        text = text[: found.start()]
        for fact in found[1].split("; "):
            kind, _, value = fact.partition(": ")
            if kind == "default":
                default = value if " " in value or value == '""' else f"`{value}`"
            elif kind == "env var":
                behind = f" (environment: `{value}`)"
            else:
                behind = f", {_limits(fact)}{behind}"
    return f"`{words}`", default, f"{text}{behind}"


def _limits(text: str) -> str:
    """`1<=x<=100` as people say it."""
    found = re.fullmatch(r"(?:([\d.]+)(<=?))?x(?:(<=?|>=)([\d.]+))?", text)
    if not found:
        return text  # required
    low, below, above, high = found.groups()
    said = [f"{'at least' if below == '<=' else 'above'} {low}"] if low else []
    if high:
        said.append(f"{'at least' if above == '>=' else 'at most'} {high}")
    return " and ".join(said)


def dimensions(*searched: Searched) -> str:
    """What is searched always, or only if it is asked for."""
    rows = [one for one in DIMENSIONS.values() if one.searched in searched]
    if searched == (Searched.ALWAYS,):
        head = ("dimension", "values", "what it is", "changes inference")
        return markdown(head, *((f"`{one.name}`", _values(one), _meaning(one), _inference(one)) for one in rows))
    head = ("dimension", "searched by", "values", "otherwise", "what it is", "changes inference")
    return markdown(
        head,
        *(
            (f"`{one.name}`", _asked_by(one), _values(one), _otherwise(one), _meaning(one), _inference(one))
            for one in rows
        ),
    )


def _inference(one: Dimension) -> str:
    return "yes" if one.changes_inference else "no"


def _asked_by(one: Dimension) -> str:
    return "`--search`" if one.searched == Searched.ON_REQUEST else f"`--{one.option}` with several"


def _otherwise(one: Dimension) -> str:
    text = f"`{'none' if one.default is False else one.default}`"
    return f"`--{one.option.replace('_', '-')}`, {text} by default" if one.option else text


def _values(one: Dimension) -> str:
    if isinstance(one.values, Range):
        low = f"{_number(one.values.low)}{f' ({one.zero})' if one.zero and one.values.low == 0 else ''}"
        if math.isinf(one.values.high):
            return f"{low} to all {'blocks' if one.name == 'keep_blocks' else 'stages'} of the backbone"
        step = f" in steps of {one.values.step}" if one.values.step not in (None, 1) else ""
        return f"{low} to {_number(one.values.high)}{one.unit}{step}{', logarithmic' if one.log else ''}"
    if one.of_study:
        return "those that suit backbone and pictures, or `--resolutions`"
    return ", ".join("none" if choice is False else "with" if choice is True else str(choice) for choice in one.values)


def _number(value: float) -> str:
    return f"{value:.10f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def _meaning(one: Dimension) -> str:
    """What its choices mean, or what the docstring of the candidate says of the field."""
    if one.meanings:
        return "; ".join(f"{choice}: {words}" for choice, words in one.meanings.items())
    text = "\n".join((Architecture.__doc__ or "", Training.__doc__ or ""))
    found = re.search(rf"^ {{8}}{one.field}: (.*(?:\n {{12}}.*)*)", text, re.MULTILINE)
    meaning = " ".join(found[1].split()).rstrip(".") if found else ""
    meaning = re.sub(r"one of (`models\.[\w.]+`)", lambda name: f"see `{_file(name[1])}`", meaning)
    return f"{meaning}, {one.only}" if one.only else meaning


def _file(name: str) -> str:
    """`models.training.schedules.LR_SCHEDULES` in backticks -> the file."""
    return "/".join(part for part in name.strip("`").split(".") if part.islower()) + ".py"


def objectives() -> str:
    """What a search makes better."""
    rows = (
        (
            f"`{one.name}`",
            one.label,
            "up" if one.maximise else "down",
            "before training" if one.known_before_training else "by training",
        )
        for one in OBJECTIVES
    )
    return markdown(("objective", "what it is", "better", "known"), *rows)


def formats() -> str:
    """What a final model can be exported to."""
    rows = (
        (f"`{name}`", f"`{one.file}`", f"`{one.extra}` ({', '.join(one.packages)})" if one.extra else "none")
        for name, one in FORMATS.items()
    )
    return markdown(("format", "file", "extra"), *rows)


TABLES: Mapping[str, Callable[[], str]] = {
    "options": options,
    "presets": presets,
    "dimensions always": lambda: dimensions(Searched.ALWAYS),
    "dimensions on request": lambda: dimensions(Searched.ON_REQUEST, Searched.LISTED),
    "objectives": objectives,
    "formats": formats,
    **{name: functools.partial(command_options, name) for name in COMMANDS if name != "hpo.run"},
}


def renewed(text: str) -> str:
    """A page with its tables as they should be now; an unknown name is a KeyError."""
    return MARKED.sub(lambda mark: f"{mark[1]}\n{TABLES[mark[2]]()}\n\n{mark[3]}", text)


def main() -> None:
    """Write the tables into the pages, and name the pages that changed."""
    for page in sorted(HERE.glob("*.md")):
        before = page.read_text(encoding="utf-8")
        if (after := renewed(before)) != before:
            page.write_text(after, encoding="utf-8")
            click.echo(f"{page.name}: tables written")


if __name__ == "__main__":
    main()
