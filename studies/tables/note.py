"""A trial in Markdown, for its page in the dashboard: what it is, how it ended, and its curve."""

from studies.objectives import FLOPS, LATENCY
from studies.records import CompleteTrial, State, TrialRecord
from studies.tables.table import Column, Table, markdown
from studies.tables.trials import accuracy, describe, why

CURVE = ("loss", "accuracy", "val_loss", "val_accuracy")
# By itself, and before the reason that the database keeps.
ENDS = {
    State.STOPPED: ("It was stopped early", "It was {}"),
    State.INFEASIBLE: ("It was not trained: it is over a budget", "It was not trained, as it is over a budget: {}"),
    State.DUPLICATE: ("It was not trained: it is the same as another", "It was not trained: it is {}"),
    State.FAILED: ("It failed", "It failed: {}"),
    State.INTERRUPTED: ("It was interrupted", "It was interrupted: {}"),
    State.UNREADABLE: ("It cannot be read", "It cannot be read: {}"),
}


def beginning(number: int) -> str:
    """Of the note of a trial."""
    return f"Trial {number}"


def sentence(record: TrialRecord) -> str:
    """What a trial is and how it ended."""
    what = beginning(record.number)
    what += f": {describe(record.candidate)}." if record.candidate else "."
    if not isinstance(record, CompleteTrial):
        reason = why(record).rstrip(".")
        alone, because = ENDS.get(record.state, (f"It is {record.state.words}",) * 2)
        return f"{what} {alone if reason in ('', record.state.words) else because.format(reason)}."
    cost = record.measurement
    return (
        f"{what} It was trained to the end: validation accuracy {accuracy(record)} after epoch {record.best_epoch} of "
        f"{record.epochs}, latency {LATENCY.say(cost.latency_ms)} ({cost.latency.low:.3g}-{cost.latency.high:.3g}; "
        f"{cost.latency.measured_in}), {FLOPS.say(cost.flops)}."
    )


def note(record: TrialRecord) -> str:
    """The sentence, and the curve as a table."""
    said = markdown(sentence(record))
    if not record.learning_curve:
        return said
    keys = [key for key in CURVE if any(point.get(key) is not None for point in record.learning_curve)]
    columns = (Column("epoch", numeric=True), *(Column(key, "{:.4f}", numeric=True) for key in keys))
    rows = tuple((point["epoch"], *(point.get(key) for key in keys)) for point in record.learning_curve)
    return f"{said}\n\n{Table('curve', '', columns, rows).to_markdown_rows()}"
