"""Tables and model cards of a final evaluation."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from studies.finals import BASELINE, FinalModel
from studies.tables import count, describe

HEADS = (
    "model",
    "test accuracy (95 %)",
    "tied",
    "in the search",
    "gap",
    "macro F1",
    "calibration error",
    "weights",
    "MMACs",
    "latency ms (p90)",
    "pictures/s, batch 32",
    "MiB",
    "candidate",
)


def name_of(model: FinalModel) -> str:
    return model.label if model.label == BASELINE else f"trial {model.label}"


def cells(model: FinalModel) -> tuple[str, ...]:
    """The texts of a model under `HEADS`."""
    costs, (low, high) = model.costs, model.interval
    latency = costs["latency"]
    return (
        name_of(model),
        f"{model.accuracy:.4f} ({low:.4f}-{high:.4f})",
        "yes" if model.tied else "no",
        "-" if model.search_accuracy is None else f"{model.search_accuracy:.4f}",
        "-" if model.gap is None else f"{model.gap:+.4f}",
        f"{model.mean('macro_f1'):.4f}",
        f"{model.mean('calibration_error'):.4f}",
        count(costs["parameters"]),
        f"{costs['macs'] / 1e6:.4g}",
        f"{latency['median_ms']:.3g} ({latency['p90_ms']:.3g})",
        f"{costs['throughput']['32']:,.0f}",
        f"{model.runs[0].model_bytes / 2**20:.2f}",
        describe(model.candidate),
    )


def values(model: FinalModel) -> dict[str, Any]:
    """All numbers of a model: shares from 0 to 1, milliseconds, bytes, seconds, MiB."""
    costs, latency = model.costs, model.costs["latency"]
    return {
        "model": name_of(model),
        "seeds": len(model.runs),
        "test_accuracy": model.accuracy,
        "test_accuracy_low": model.interval[0],
        "test_accuracy_high": model.interval[1],
        "tied_with_best": model.tied,
        "search_accuracy": model.search_accuracy,
        "gap": model.gap,
        **{
            name: model.mean(name)
            for name in ("top5_accuracy", "macro_precision", "macro_recall", "macro_f1", "calibration_error")
        },
        "parameters": costs["parameters"],
        "macs": costs["macs"],
        "flops": costs["flops"],
        "latency_p50_ms": latency["median_ms"],
        "latency_p90_ms": latency["p90_ms"],
        "latency_p99_ms": latency["p99_ms"],
        **{f"pictures_per_second_{batch}": rate for batch, rate in costs["throughput"].items()},
        "model_bytes": model.runs[0].model_bytes,
        "epochs": model.runs[0].epochs,
        "train_seconds": sum(run.seconds.get("train", 0.0) for run in model.runs) / len(model.runs),
        "peak_memory_mib": max(run.peak_memory_mib for run in model.runs),
        "candidate": describe(model.candidate),
    }


def to_csv(models: Sequence[FinalModel]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(values(models[0])), lineterminator="\n")
    writer.writeheader()
    writer.writerows(values(model) for model in models)
    return text.getvalue()


def to_markdown(models: Sequence[FinalModel]) -> str:
    lines = [HEADS, ("---",) * len(HEADS), *(cells(model) for model in models)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def per_class(model: FinalModel, class_names: Sequence[str]) -> list[dict[str, Any]]:
    """Precision, recall and F1 of each class, means over the runs, and its test pictures."""
    scores = [run.scores for run in model.runs]
    return [
        {
            "class": name,
            **{key: sum(getattr(one, key)[place] for one in scores) / len(scores) for key in ("precision", "recall")},
            "f1": sum(one.f1[place] for one in scores) / len(scores),
            "pictures": scores[0].support[place],
        }
        for place, name in enumerate(class_names)
    ]


def card(model: FinalModel, class_names: Sequence[str], about: Mapping[str, Any]) -> str:
    """A model card in Markdown (Mitchell et al. 2019); `about` has study, dataset, digest, test split and machine."""
    low, high = model.interval
    number = {name: f"{value:.4f}" for name, value in values(model).items() if isinstance(value, float)}
    rows = "".join(
        f"| {_plain(row['class'])} | {row['precision']:.3f} | {row['recall']:.3f} | {row['f1']:.3f} "
        f"| {row['pictures']:,} |\n"
        for row in per_class(model, class_names)
    )
    costs = model.costs
    latency, first = costs["latency"], model.runs[0]
    return f"""# {about["study"]}, {name_of(model)}

{describe(model.candidate)}

- **Use**: classifies one picture as one of {len(class_names)} classes. Input: uint8 pictures of {about["size"]}
  (height x width x channels), RGB or grey as in training; output: {_output(len(class_names))}.
- **Load**: `keras.saving.load_model("seed-{first.seed}/model.keras")`; the class names are the entry
  `class_names.json` of that file, which is a zip archive.
- **Trained** on {first.n_train:,} pictures of {_plain(about["dataset"])}
  (SHA-256 {about["digest"][:16]}...), {first.epochs} epochs, {len(model.runs)} seeds.
- **Tested** once on {sum(first.scores.support):,} pictures that nothing else read: {_plain(about["test_split"])}.
- **Accuracy** {model.accuracy:.4f}, 95 % interval {low:.4f} to {high:.4f} (over seeds and test pictures).
- **Macro F1** {number["macro_f1"]}; expected calibration error {number["calibration_error"]} (15 bins).
- **Costs** {costs["parameters"]:,} weights, {costs["flops"] / 1e6:.4g} MFLOPs, {latency["median_ms"]:.3g} ms a picture
  (p90 {latency["p90_ms"]:.3g}, p99 {latency["p99_ms"]:.3g}) on {about["device"]}.
- **Limits**: pictures unlike those it was trained on are classified all the same, and its probabilities say nothing
  about them.

| class | precision | recall | F1 | test pictures |
| --- | --- | --- | --- | --- |
{rows}"""


def _output(classes: int) -> str:
    if classes == 2:
        return "the probability of the second class"
    return "a probability for each class, in the order below"


def _plain(text: str) -> str:
    """A name of the user's, without what Markdown or HTML would take for their own."""
    return "".join(f"\\{letter}" if letter in "\\`*_{}[]<>#|!" else letter for letter in text)
