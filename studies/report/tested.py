"""Sections about the models that were tested: the recommended and the most accurate one side by side."""

from collections.abc import Callable, Sequence

from studies.finals import FinalModel
from studies.report import charts, model_tables
from studies.report.blocks import Block, Chart, Charts, Columns, Pictures, Section, Text
from studies.report.detail import Detail
from studies.report.gallery import Gallery, ModelPictures, worst_mistakes
from studies.report.material import Material, label_of
from studies.report.summary import evaluate_command
from studies.report.wording import counted, listed

MOST_MISTAKES = 12
PICTURES_OF_TWO = 6  # worst mistakes of each, where two models are side by side


def results(material: Material, _gallery: Gallery) -> Section | None:
    """Test results of all models, and class by class of those in detail."""
    title = "Test results, class by class"
    if not material.complete:
        return None
    details = material.details
    if not details:
        text = f"There are no test results yet: run `{evaluate_command(material)}` and then make this report again."
        return Section("tests", title, (Text(text),))
    names, run = details[0].class_names, details[0].model.runs[0]
    verb = "which are highlighted" if len(details) > 1 else "which is highlighted"
    text = (
        f"Each model was retrained on {run.n_train:,} training and validation pictures together and tested once on "
        f"{run.n_test:,} pictures that the search never read. Shown in detail: "
        f"{listed([one.title for one in details])}, {verb}."
    )
    in_detail = [one.model for one in details]
    others = [other for other in material.finals if other.label == "baseline" and other not in in_detail]
    matrices = tuple(_confusion(evaluated, names) for evaluated in (*in_detail, *others))
    blocks = (
        Text(text),
        model_tables.evaluated_table(material),
        model_tables.classes_table(in_detail, names),
        Charts(matrices),
    )
    return Section("tests", title, blocks)


def _confusion(model: FinalModel, names: tuple[str, ...]) -> Chart:
    matrix = model.confusion()
    off = matrix.copy()
    for label in range(len(names)):
        off[label, label] = 0
    true, guess = divmod(int(off.argmax()), len(names))
    worst = f"most often {names[true]} is taken for {names[guess]}" if off.max() else "there is no mistake"
    caption = f"Confusion matrix of {label_of(model)}, percent of each true class over all training runs; {worst}."
    alt = f"Confusion matrix of {label_of(model)} over {counted(len(names), 'class', 'classes')}: {worst}."
    figure = charts.confusion(names, matrix)
    return Chart(f"confusion_{model.label}", caption, alt, figure, min(760, 190 + 34 * len(names)))


def saliency(material: Material, gallery: Gallery) -> Section | None:
    """Where the models look."""

    def look(detail: Detail, pictures: ModelPictures) -> list[Block]:
        shown: list[Block] = [Text(pictures.saliency_note)] if pictures.saliency_note else []
        return [*shown, Pictures(pictures.saliency, 112, 345)] if pictures.saliency else shown

    blocks = beside(material.details, gallery, look)
    return Section("saliency", "Where the model looks", blocks) if blocks else None


def mistakes(material: Material, gallery: Gallery) -> Section | None:
    """What the models take for something else with the highest confidence."""
    details = [one for one in material.details if one.file.predictions is not None]
    most = MOST_MISTAKES if len(details) == 1 else PICTURES_OF_TWO

    def mistaken(detail: Detail, pictures: ModelPictures) -> list[Block]:
        assert detail.file.predictions is not None
        if not worst_mistakes(detail.file.predictions, 1):
            return [Text(f"{detail.name} classifies every test picture correctly.")]
        shown: list[Block] = [Text(f"{detail.title}: {pictures.mistakes_note}")] if pictures.mistakes_note else []
        return [*shown, Pictures(pictures.mistakes[:most], 96, 140, True)] if pictures.mistakes else shown

    blocks = beside(details, gallery, mistaken)
    tables = (
        model_tables.mistakes_table(worst, one)
        for one in details
        if one.file.predictions and (worst := worst_mistakes(one.file.predictions, MOST_MISTAKES))
    )
    blocks = (*blocks, *tables)
    return Section("mistakes", "The worst mistakes", blocks) if blocks else None


def beside(
    details: Sequence[Detail], gallery: Gallery, blocks_of: Callable[[Detail, ModelPictures], list[Block]]
) -> tuple[Block, ...]:
    """The blocks of each model: one alone as they are, two in columns."""
    columns = [blocks_of(one, gallery.models.get(one.model.label, ModelPictures())) for one in details]
    columns = [column for column in columns if column]
    if len(columns) > 1:
        return (Columns(tuple(map(tuple, columns))),)
    return tuple(columns[0]) if columns else ()
