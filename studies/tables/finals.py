"""Tables and model cards of a final evaluation."""

from collections.abc import Mapping, Sequence
from typing import Any

from studies.difference import Difference, in_words, signed
from studies.finals import FinalModel
from studies.forms import Ranked
from studies.paths import called, name_of, run_name
from studies.tables import table
from studies.tables.forms import for_card
from studies.tables.trials import count, describe

METHOD = (
    "95 % intervals are for the accuracy to expect over all seeds and pictures of this kind; how far seeds matter is "
    "pooled over the models. With one run of each only the pictures vary. To the best: difference on the same "
    "pictures; * differs, with p at most 0.05 after Holm's correction over all pairs of models. Gap: accuracy in the "
    "search minus test accuracy, a mixture: in the search the best of many was chosen, and final models are trained on "
    "the validation pictures too."
)
TO_BEST = "to the best, points (95 %)"
TERMINAL = ("model", "test accuracy (95 %)", TO_BEST, "in the search", "gap", "macro F1", "latency ms (p90)", "MFLOPs")
PAPER = ("model", "test accuracy (95 %)", TO_BEST, "macro F1", "calibration error", "weights", "MFLOPs",
         "latency ms (p90)", "pictures/s, batch 32")  # fmt: skip


def texts(model: FinalModel) -> dict[str, str]:
    """All that a table can show of a model, by heading."""
    costs, (low, high), number = model.costs, model.interval, values(model)
    latency = costs.latency
    return {
        "model": name_of(model.label),
        "test accuracy (95 %)": f"{model.accuracy:.4f} ({low:.4f}-{high:.4f})",
        TO_BEST: to_best(model),
        "in the search": _or_dash(model.search_accuracy, ".4f"),
        "gap": _or_dash(model.gap, "+.4f"),
        "top 5": _or_dash(number["top5_accuracy"], ".4f"),
        "macro precision": f"{number['macro_precision']:.4f}",
        "macro recall": f"{number['macro_recall']:.4f}",
        "macro F1": f"{number['macro_f1']:.4f}",
        "calibration error": f"{number['calibration_error']:.4f}",
        "weights": count(costs.parameters),
        "MMACs": f"{costs.macs / 1e6:.4g}",
        "MFLOPs": f"{costs.flops / 1e6:.4g}",
        "latency ms (p90)": f"{latency.record_ms:.3g} ({latency.p90_ms:.3g})",
        "p99 ms": f"{latency.p99_ms:.3g}",
        **{f"pictures/s, batch {batch}": _or_dash(rate, ",.0f") for batch, rate in costs.throughput.items()},
        "MiB": f"{model.runs[0].model_bytes / 2**20:.2f}",
        "training s": f"{number['train_seconds']:.1f}",
        "peak MiB": f"{number['peak_memory_mib']:.0f}",
        "candidate": describe(model.candidate),
    }


def to_best(model: FinalModel) -> str:
    """`best`, `-0.7 (-2.0 to +0.6)`, or with a star where it differs; `?` where that cannot be said."""
    one = model.to_best
    if one is None:
        return "best" if model.best else "?"
    return f"{signed(one.difference)} ({signed(one.low)} to {signed(one.high)}){' *' * one.differs}"


def verdicts(models: Sequence[FinalModel]) -> list[str]:
    """A sentence on each model beside the most accurate one."""
    best = called(models[0].label)
    said = [
        f"{called(model.label)} is {in_words(model.to_best, best)}."
        if model.to_best
        else f"{called(model.label)} beside {best}: {model.verdict}."
        for model in models[1:]
    ]
    return [sentence[0].upper() + sentence[1:] for sentence in said]


def cells(model: FinalModel, heads: Sequence[str]) -> tuple[str, ...]:
    """The texts of a model under these headings."""
    shown = texts(model)
    return tuple(shown[head] for head in heads)


def values(model: FinalModel) -> dict[str, Any]:
    """All numbers of a model: shares from 0 to 1, milliseconds, bytes, seconds, MiB; None for what there is not."""
    costs, latency = model.costs, model.costs.latency
    means = ("top5_accuracy", "macro_precision", "macro_recall", "macro_f1", "calibration_error")
    return {
        "model": name_of(model.label),
        "seeds": len(model.runs),
        "test_accuracy": model.accuracy,
        "test_accuracy_low": model.interval[0],
        "test_accuracy_high": model.interval[1],
        "verdict": str(model.verdict),
        **_difference("to_best", model.to_best),
        **_difference("to_baseline", model.to_baseline),
        "search_accuracy": model.search_accuracy,
        "gap": model.gap,
        **{name: model.mean(name) for name in means},
        "parameters": costs.parameters,
        "macs": costs.macs,
        "flops": costs.flops,
        "latency_ms": latency.record_ms,
        "latency_measured_in": latency.measured_in,
        "latency_p50_ms": latency.median_ms,
        "latency_p90_ms": latency.p90_ms,
        "latency_p99_ms": latency.p99_ms,
        **{f"pictures_per_second_{batch}": rate for batch, rate in costs.throughput.items()},
        "model_bytes": model.runs[0].model_bytes,
        "epochs": model.runs[0].epochs,
        "train_seconds": sum(run.seconds.get("train", 0.0) for run in model.runs) / len(model.runs),
        "peak_memory_mib": max(run.peak_memory_mib for run in model.runs),
        "candidate": describe(model.candidate),
    }


def _difference(name: str, one: Difference | None) -> dict[str, float | None]:
    """Its numbers, shares from -1 to 1, by the names of columns."""
    numbers = (one.difference, one.low, one.high, one.p, one.p_adjusted) if one else (None,) * 5
    return dict(zip((name, *(f"{name}_{part}" for part in ("low", "high", "p", "p_adjusted"))), numbers, strict=True))


def to_table(models: Sequence[FinalModel], heads: Sequence[str], caption: str) -> table.Table:
    """A row for each model, under some of the headings of `texts`."""
    return table.of_texts(
        "final", caption, heads, (cells(model, heads) for model in models), left=("model", "candidate")
    )


def on_terminal(models: Sequence[FinalModel]) -> table.Table:
    """The columns that fit a terminal."""
    seeds = len(models[0].runs)
    return to_table(models, TERMINAL, f"On the test pictures, means over {seeds} seed{'s' * (seeds > 1)}")


def to_csv(models: Sequence[FinalModel]) -> str:
    """All models, with a line of column names."""
    return table.records_to_csv([values(model) for model in models])


def to_markdown(models: Sequence[FinalModel], heads: Sequence[str] | None = None) -> str:
    """Everything, or what is under some headings; how the intervals are made, and what they say."""
    words = "".join(f"- {table.markdown(sentence)}\n" for sentence in verdicts(models))
    rows = to_table(models, heads or tuple(texts(models[0])), "").to_markdown_rows()
    return f"{rows}\n{table.markdown(METHOD)}\n" + (f"\n{words}" if words else "")


def to_latex(models: Sequence[FinalModel], data: str) -> str:
    """A table for a paper; needs the packages that its first line names. `data` goes into the caption."""
    seeds = len(models[0].runs)
    caption = (
        f"Test accuracy on {data}: mean over {seeds} seed{'s' * (seeds > 1)} with 95 % interval; "
        "*: differs from the best (p at most 0.05 after Holm's correction over all pairs)"
    )
    return to_table(models, PAPER, caption).to_latex()


def per_class(model: FinalModel, class_names: Sequence[str]) -> list[dict[str, Any]]:
    """Precision, recall and F1 of each class, means over the runs, and its test pictures."""
    scores = [run.scores for run in model.runs]
    return [
        {
            "class": name,
            **{
                key: sum(getattr(run_scores, key)[label] for run_scores in scores) / len(scores)
                for key in ("precision", "recall", "f1")
            },
            "pictures": scores[0].support[label],
        }
        for label, name in enumerate(class_names)
    ]


def per_class_csv(model: FinalModel, class_names: Sequence[str]) -> str:
    """A model's numbers for each class, with a line of column names."""
    return table.records_to_csv(per_class(model, class_names))


def confusion_csv(model: FinalModel, class_names: Sequence[str]) -> str:
    """Test pictures of all runs together: a row for each true class, a column for each predicted one."""
    rows = ([name, *counts] for name, counts in zip(class_names, model.confusion().tolist(), strict=True))
    return table.to_csv(["true \\ predicted", *class_names], rows)


def card(model: FinalModel, class_names: Sequence[str], about: Mapping[str, Any], forms: Sequence[Ranked] = ()) -> str:
    """A model card in Markdown (Mitchell et al. 2019).

    Args:
        model: whose card it is.
        class_names: in the order of their labels.
        about: study, dataset, digest, test split, which of it is trained on (`overlap`) and machine.
        forms: of this model, as deployed.
    """
    low, high = model.interval
    number = {name: f"{value:.4f}" for name, value in values(model).items() if isinstance(value, float)}
    rows = "".join(
        f"| {table.markdown(table.printable(row['class']))} | {row['precision']:.3f} | {row['recall']:.3f} "
        f"| {row['f1']:.3f} | {row['pictures']:,} |\n"
        for row in per_class(model, class_names)
    )
    costs = model.costs
    latency, first = costs.latency, model.runs[0]
    overlap = f"\n  **{about['overlap']}.**" if about["overlap"] else ""
    return f"""# {about["study"]}, {name_of(model.label)}

{describe(model.candidate)}

- **Use**: classifies one picture as one of {len(class_names)} classes. Input: uint8 pictures of
  {"x".join(map(str, first.shape))} (height x width x channels), RGB or grey as in training; output: a probability for
  each class, in the order below.
- **Load**: `keras.saving.load_model("{run_name(first.seed)}/model.keras")`; the class names are the entry
  `class_names.json` of that file, which is a zip archive.
- **Trained** on {first.n_train:,} pictures of {table.markdown(table.printable(about["dataset"]))}
  (SHA-256 {about["digest"][:16]}...), {first.epochs} epochs, {len(model.runs)} seed{"s" * (len(model.runs) > 1)}.
- **Tested** once on {sum(first.scores.support):,} pictures that nothing else read:
  {table.markdown(table.printable(about["test_split"]))}.{overlap}
- **Accuracy** {model.accuracy:.4f}, 95 % interval {low:.4f} to {high:.4f} ({_varies(model)}).
- **Macro F1** {number["macro_f1"]}; expected calibration error {number["calibration_error"]} (15 bins).
- **Costs** {costs.parameters:,} weights, {costs.flops / 1e6:.4g} MFLOPs, {latency.record_ms:.3g} ms a picture
  ({latency.measured_in}; p90 {latency.p90_ms:.3g}, p99 {latency.p99_ms:.3g}) on {latency.device}.
- **Limits**: pictures unlike those it was trained on are classified all the same, and its probabilities say nothing
  about them.

| class | precision | recall | F1 | test pictures |
| --- | --- | --- | --- | --- |
{rows}{for_card(forms)}"""


def _varies(model: FinalModel) -> str:
    return "over seeds and test pictures" if len(model.runs) > 1 else "over test pictures; of one run"


def _or_dash(number: float | None, form: str) -> str:
    return "-" if number is None else format(number, form)
