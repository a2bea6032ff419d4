"""Tables of the forms of final models: on a terminal, as files, in a card."""

from collections.abc import Sequence
from typing import Any

from studies.forms import AS_TRAINED, METHOD, Form, Ranked, verdicts
from studies.paths import name_of
from studies.tables import table

EXPORTED = ("form", "test accuracy (95 %)", "same answers", "latency ms (p90)", "MiB", "measured in")
TERMINAL = ("model", "form", "test accuracy (95 %)", "same answers", "points (95 %)", "latency ms (p90)", "MiB",
            "measured in", "marks")  # fmt: skip
CARD = TERMINAL[1:]
LEFT = ("model", "form", "measured in", "marks")
ENERGY = "mJ a picture"
CAPTION = "Each model as trained (keras) and as deployed, on the test pictures; all from its first training run"


def texts(form: Form) -> dict[str, str]:
    """All that a table can show of a form, by heading."""
    (low, high), latency = form.pairs.interval, form.latency
    number = values(form)
    return {
        "model": name_of(form.label),
        "form": form.format,
        "test accuracy (95 %)": f"{form.accuracy:.4f} ({low:.4f}-{high:.4f})",
        "same answers": f"{form.same_class:.4f}",
        "points (95 %)": _difference(form),
        "McNemar's p": "-" if form.format == AS_TRAINED else f"{form.pairs.p_value:.2g}",
        "latency ms (p90)": f"{latency.record_ms:.3g} ({latency.p90_ms:.3g})" if latency else "-",
        "p50 ms": f"{latency.median_ms:.3g}" if latency else "-",
        "p99 ms": f"{latency.p99_ms:.3g}" if latency else "-",
        "MiB": f"{number['bytes'] / 2**20:.2f}",
        ENERGY: "-" if form.energy_mj is None else f"{form.energy_mj:.3g}",
        "measured in": form.runtime if latency else "-",
    }


def values(form: Form) -> dict[str, Any]:
    """All numbers of a form: shares from 0 to 1, milliseconds, bytes, millijoules; None for what there is not."""
    pairs, latency = form.pairs, form.latency
    alone = form.format == AS_TRAINED
    return {
        "model": name_of(form.label),
        "format": form.format,
        "test_accuracy": pairs.accuracy,
        "test_accuracy_low": pairs.interval[0],
        "test_accuracy_high": pairs.interval[1],
        "same_class": form.same_class,
        "max_difference": form.max_difference,
        "difference": pairs.difference,
        "difference_low": None if alone else pairs.difference_interval()[0],
        "difference_high": None if alone else pairs.difference_interval()[1],
        "mcnemar_p": None if alone else pairs.p_value,
        "test_pictures": pairs.n,
        "latency_ms": latency.record_ms if latency else None,
        "latency_p50_ms": latency.median_ms if latency else None,
        "latency_p90_ms": latency.p90_ms if latency else None,
        "latency_p99_ms": latency.p99_ms if latency else None,
        "measured_in": form.runtime if latency else None,
        "version": latency.backend if latency else None,
        "energy_mj": form.energy_mj,
        "bytes": form.bytes,
    }


def records(forms: Sequence[Ranked]) -> list[dict[str, Any]]:
    """`values` of each, and its place among all; energy only where it was measured of one."""
    rows = [{**values(one.form), "on_front": one.on_front, "best_form": one.best} for one in forms]
    if not _counted([one.form for one in forms]):
        for row in rows:
            del row["energy_mj"]
    return rows


def to_table(forms: Sequence[Ranked], heads: Sequence[str], caption: str = "") -> table.Table:
    """A row for each form, under some of the headings of `texts` and its marks; energy where it was measured."""
    heads = _with_energy(heads, [one.form for one in forms])
    rows = []
    for one in forms:
        shown = {**texts(one.form), "marks": marks(one)}
        rows.append([shown[head] for head in heads])
    return table.of_texts("forms", caption, heads, rows, LEFT)


def marks(one: Ranked) -> str:
    """`best form, front`, or what of it holds."""
    return ", ".join(word for word, holds in (("best form", one.best), ("front", one.on_front)) if holds)


def exported(forms: Sequence[Form]) -> table.Table:
    """Forms of one model, in the order in which they were made."""
    heads = _with_energy(EXPORTED, forms)
    return table.of_texts("exports", "", heads, ([texts(form)[head] for head in heads] for form in forms), LEFT)


def to_csv(forms: Sequence[Form]) -> str:
    """The numbers of forms of one model, with a line of column names."""
    return table.records_to_csv([values(form) for form in forms])


def to_markdown(forms: Sequence[Ranked]) -> str:
    """Everything, how it is meant, and in words what chance does not explain."""
    heads = (*(head for head in texts(forms[0].form) if head != ENERGY), "marks")
    words = "".join(f"\n{sentence}\n" for sentence in verdicts(forms))
    return f"{to_table(forms, heads).to_markdown_rows()}\n{METHOD}\n{words}"


def to_latex(forms: Sequence[Ranked]) -> str:
    """A table for a paper; needs the packages that its first line names."""
    return to_table(forms, TERMINAL, f"{CAPTION}. {METHOD}").to_latex()


def for_card(forms: Sequence[Ranked]) -> str:
    """The forms of one model as a section of its card; nothing without any."""
    if not forms:
        return ""
    words = "".join(f"\n{sentence}\n" for sentence in verdicts(forms))
    return f"\n## Forms\n\n{to_table(forms, CARD).to_markdown_rows()}\n{METHOD}\n{words}"


def _counted(forms: Sequence[Form]) -> bool:
    return any(form.energy_mj is not None for form in forms)


def _with_energy(heads: Sequence[str], forms: Sequence[Form]) -> tuple[str, ...]:
    """Behind the size, or at the end."""
    if not _counted(forms):
        return tuple(heads)
    place = [*heads, "MiB"].index("MiB") + 1
    return (*heads[:place], ENERGY, *heads[place:])


def _difference(form: Form) -> str:
    if form.format == AS_TRAINED:
        return "-"
    low, high = form.pairs.difference_interval()
    return f"{100 * form.pairs.difference:+.2f} ({100 * low:+.2f} to {100 * high:+.2f})"
