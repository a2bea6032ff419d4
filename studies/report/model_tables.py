"""The tables of a chapter."""

from collections.abc import Sequence
from typing import Any

from models.candidate import DIMENSIONS, Dimension, Range
from studies.finals import FinalModel
from studies.fingerprint import HYPERMODEL, PRETRAINED, SCRATCH
from studies.overlap import Overlap
from studies.records import CompleteTrial, TrialRecord
from studies.report.detail import Detail
from studies.report.gallery import Judged
from studies.report.material import Material, Shown, label_of
from studies.report.wording import listed, mega, percent
from studies.tables.finals import per_class
from studies.tables.table import Column, Table
from studies.tables.trials import count, describe, measured_in, why


def _interval(value: tuple[float, float | None, float | None]) -> str:
    share, low, high = value
    around = "" if low is None or high is None else f" ({100 * low:.1f}–{100 * high:.1f})"
    return f"{100 * share:.1f}{around}"


def _difference(value: tuple[float, float, float]) -> str:
    size, low, high = value
    return f"{100 * size:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"


def _unsure(value: tuple[float, float, float]) -> str:
    median, low, high = value
    return f"{median:.3g} ({low:.3g}–{high:.3g})"


SEARCHED = Column(
    "validation accuracy (%), 95 % interval", _interval, True, parts=("val_accuracy", "val_low", "val_high")
)
TEST = Column("test accuracy (%), 95 % interval", _interval, True, parts=("test_accuracy", "test_low", "test_high"))
FLOPS = Column("MFLOPs", mega, True, parts=("flops",))
TIME = Column("inference (ms, uncertainty)", _unsure, True, parts=("latency_ms", "latency_low_ms", "latency_high_ms"))
WEIGHTS = Column("parameters", count, True)
TRAINED = Column("trained parameters", count, True, parts=("trained_parameters",))
EPOCHS = Column("best epoch", "{0[0]} of {0[1]}", True, parts=("best_epoch", "epochs"))
SECONDS = Column("trial (s)", "{:.1f}", True, parts=("seconds",))
SETTINGS = Column("settings", wide=True)


def _searched(record: TrialRecord) -> tuple[float | None, float | None, float | None] | None:
    """Accuracy in the search with its interval."""
    low, high = record.interval or (None, None)
    return None if record.val_accuracy is None else (record.val_accuracy, low, high)


def _costs(record: CompleteTrial) -> tuple[Any, ...]:
    """FLOPs, time, parameters and trained ones."""
    cost = record.measurement
    latency = (cost.latency_ms, cost.latency.low, cost.latency.high)
    return cost.flops, latency, cost.parameters, record.trainable_parameters


def models_title(material: Material, models: Sequence[Shown]) -> str:
    """What a section on these models is called: after what is in it."""
    if material.origin == SCRATCH:
        return "Models trained from scratch"
    if material.origin == HYPERMODEL:
        return "Models of the HyperModel"
    frozen = [model for model in models if model.record.candidate.linear_probe]
    if len(frozen) in (0, len(models)):
        return "Frozen models" if frozen else "Customised models"
    if material.origin == PRETRAINED:
        return "Pretrained against customised models"
    return f"Frozen {material.origin} against customised models"


def models_table(material: Material, models: Sequence[Shown]) -> Table:
    """The table that courses ask for: accuracy, FLOPs, inference time and parameters of the models shown."""
    tested = any(model.final for model in models)
    columns = [Column("model", wide=True), SEARCHED, *([TEST] if tested else []), FLOPS, TIME, WEIGHTS, TRAINED]
    rows = []
    for model in models:
        test = (model.final.accuracy, *model.final.interval) if model.final else None
        rows.append(
            (model.title, _searched(model.record), *([test] if tested else []), *_costs(model.record),
             describe(model.record.candidate))
        )  # fmt: skip
    marked = frozenset(number for number, model in enumerate(models) if "recommended" in model.roles)
    caption = (
        f"{models_title(material, models)}, {material.fingerprint.backbone} on "
        f"{material.fingerprint.dataset}; inference times are for one picture on {material.fingerprint.device}."
    )
    return Table("models", caption, (*columns, SETTINGS), tuple(rows), marked)


def front_table(material: Material) -> Table:
    """Members of the front, the recommended one marked."""
    rows = tuple(
        (
            record.number,
            _searched(record),
            *_costs(record),
            (record.best_epoch, record.epochs),
            record.seconds,
            describe(record.candidate),
        )
        for record in material.front
    )
    marked = frozenset(n for n, record in enumerate(material.front) if record.number == material.recommended_number)
    caption = "Members of the Pareto front of all three objectives, from the fastest to the slowest"
    caption += f"; latency: {measured_in(material.front)}." if material.front else "."
    columns = (
        Column("trial", numeric=True), SEARCHED, FLOPS, TIME, WEIGHTS, TRAINED, EPOCHS, SECONDS, SETTINGS
    )  # fmt: skip
    return Table("front", caption, columns, rows, marked)


def trials_table(material: Material) -> Table:
    """Every trial, whatever became of it."""
    members = {record.number for record in material.front}
    rows = []
    for record in material.records:
        cost = record.measurement
        state = f"{record.state}, on the front" if record.number in members else record.state
        settings = describe(record.candidate) if record.candidate else None
        rows.append(
            (
                record.number,
                state,
                _searched(record),
                cost.latency_ms if cost else None,
                cost.flops if cost else None,
                record.epochs,
                record.seconds,
                settings,
                why(record) or None,
            )
        )
    columns = (
        Column("trial", numeric=True),
        Column("state"),
        SEARCHED,
        Column("inference (ms)", "{:.3g}", True, parts=("latency_ms",)),
        FLOPS,
        Column("epochs", numeric=True),
        SECONDS,
        SETTINGS,
        Column("why not complete", wide=True, parts=("reason",)),
    )
    return Table("trials", "All trials of the study.", columns, tuple(rows))


def evaluated_table(material: Material) -> Table:
    """Final models on the test pictures."""
    rows = tuple(
        (
            label_of(model),
            len(model.runs),
            (model.accuracy, *model.interval),
            (model.to_best.difference, model.to_best.low, model.to_best.high) if model.to_best else None,
            str(model.verdict),
            model.search_accuracy,
            None if model.gap is None else 100 * model.gap,
            model.mean("macro_f1"),
            model.mean("calibration_error"),
            model.runs[0].model_bytes / 2**20,
        )
        for model in material.finals
    )
    columns = (
        Column("model"),
        Column("runs", numeric=True),
        TEST,
        Column(
            "to the best (points), 95 % interval", _difference, True, parts=("to_best", "to_best_low", "to_best_high")
        ),
        Column("verdict", wide=True),
        Column("in the search (%)", lambda share: f"{100 * share:.1f}", True, parts=("val_accuracy",)),
        Column("gap (points)", "{:+.1f}", True, parts=("gap_points",)),
        Column("macro F1", "{:.3f}", True),
        Column("calibration error", "{:.3f}", True),
        Column("file (MiB)", "{:.1f}", True),
    )
    n_test = material.finals[0].runs[0].n_test
    overlap = Overlap(max(run.overlap for model in material.finals for run in model.runs), n_test).words
    caption = (
        f"Evaluated models on the {n_test:,} test pictures, means over training runs with different seeds; to the "
        "best: difference to the most accurate one on the same pictures; verdict: with p at most 0.05 after Holm's "
        "correction over all pairs of models; gap: search minus test."
    ) + (f" Beware: {overlap}." if overlap else "")
    in_detail = [one.model for one in material.details]
    marked = frozenset(number for number, model in enumerate(material.finals) if model in in_detail)
    return Table("evaluated", caption, columns, rows, marked)


def classes_table(models: Sequence[FinalModel], names: Sequence[str]) -> Table:
    """A row for each class, columns for each model."""
    measures = (("precision", "precision (%)", _share), ("recall", "recall (%)", _share), ("f1", "F1", "{:.3f}"))
    by_model = [per_class(model, names) for model in models]
    rows = tuple(
        (rows[0]["class"], rows[0]["pictures"], *(row[key] for row in rows for key, _, _ in measures))
        for rows in zip(*by_model, strict=True)
    )
    columns = [Column("class"), Column("test pictures", "{:,}", True)]
    for model in models:
        whose = f"{label_of(model)}: " if len(models) > 1 else ""
        stem = f"{label_of(model).replace(' ', '_')}_" if len(models) > 1 else ""
        columns += [Column(whose + title, form, True, parts=(stem + key,)) for key, title, form in measures]
    caption = f"How {listed([label_of(model) for model in models])} do on each class, means over training runs."
    if len(models) == 1:
        caption = caption.replace(" do on", " does on")
    return Table("classes", caption, tuple(columns), rows)


def _share(share: float) -> str:
    return f"{100 * share:.1f}"


def mistakes_table(mistakes: Sequence[Judged], detail: Detail) -> Table:
    """A row for each picture that was classified wrongly."""
    names, model = detail.class_names, detail.model
    rows = tuple(
        (mistake.place, names[mistake.true], names[mistake.predicted], mistake.confidence, mistake.of_true)
        for mistake in mistakes
    )
    columns = (
        Column("test picture", numeric=True),
        Column("true class"),
        Column("predicted class"),
        Column("confidence", percent, True),
        Column("probability of the true class", percent, True),
    )
    caption = (
        f"The mistakes that {detail.name} (seed {model.runs[0].seed}) is most confident about; pictures are counted "
        "from 0 in the order of the test split."
    )
    return Table(f"mistakes_{model.label}", caption, columns, rows)


def space_table(space: dict[str, Any], of_hypermodel: bool = False) -> Table:
    """The fingerprint's description of the search space; that of a HyperModel is in words."""
    rows = tuple(
        (name, str(values) if of_hypermodel else _in_words(DIMENSIONS.get(name), values))
        for name, values in space.items()
    )
    return Table(
        "space",
        "What the search decides for each trial.",
        (Column("hyperparameter" if of_hypermodel else "dimension"), Column("values", wide=True)),
        rows,
    )


def _in_words(dimension: Dimension | None, values: Any) -> str:
    """Values as a fingerprint describes them: a list of choices, (low, high[, step]), or one that is fixed."""
    if not isinstance(values, list):
        return f"fixed: {values}"
    unit = dimension.unit if dimension else ""
    if dimension is None or not isinstance(dimension.values, Range):
        return ", ".join(map(str, values)) + unit
    low, high, *step = values
    if low == high:
        return f"all {low} stages"
    zero = f" ({dimension.zero})" if low == 0 and dimension.zero else ""
    steps = f" in steps of {step[0]}" if step else ""
    return f"{low:g}{zero} to {high:g}{unit}{steps}{', logarithmic' if dimension.log else ''}"
