"""The models that a report shows in detail: which they are, and what their files say."""

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass

from models.candidate import AnyCandidate
from studies.finals import FinalModel, Predictions, read_predictions
from studies.paths import RunFiles, name_of
from studies.recommendation import Recommendation
from studies.report.wording import listed

RECOMMENDED, BEST_SEARCHED, BEST_TESTED = "recommended", "most accurate in the search", "most accurate in the test"


@dataclass(frozen=True)
class ModelFile:
    """What the files of a training run say; empty where they cannot be read.

    Attributes:
        input_shape: (height, width, channels).
        one_column: whether it gives the probability of the second of two classes alone, as version 0.2 wrote it.
        predictions: of the test pictures.
    """

    class_names: tuple[str, ...] = ()
    input_shape: tuple[int, ...] = ()
    one_column: bool = False
    predictions: Predictions | None = None


@dataclass(frozen=True)
class Detail:
    """An evaluated model that is shown in detail, and why: `roles` such as "recommended"."""

    model: FinalModel
    roles: tuple[str, ...]
    file: ModelFile = ModelFile()

    @property
    def name(self) -> str:
        """`trial 7` or `baseline`."""
        return name_of(self.model.label)

    @property
    def title(self) -> str:
        """`trial 7 (recommended)`."""
        return f"{self.name} ({listed(self.roles)})"

    @property
    def class_names(self) -> tuple[str, ...]:
        """From the model's file; without it numbers."""
        n_classes = len(self.model.runs[0].scores.support)
        named = len(self.file.class_names) == n_classes
        return self.file.class_names if named else tuple(f"class {number}" for number in range(n_classes))


def choose(models: Sequence[FinalModel], found: Recommendation | None) -> list[Detail]:
    """The recommended model and the most accurate one in the search; the best tested one if neither was evaluated.

    Args:
        models: that were evaluated, from the most to the least accurate on the test pictures.
        found: what the search recommends.
    """
    roles: dict[AnyCandidate, list[str]] = {}
    if found is not None:
        roles.setdefault(found.record.candidate, []).append(RECOMMENDED)
        roles.setdefault(found.best.candidate, []).append(BEST_SEARCHED)
    by_candidate = {model.candidate: model for model in reversed(models)}
    details = [Detail(by_candidate[each], tuple(why)) for each, why in roles.items() if each in by_candidate]
    return details or [Detail(model, (BEST_TESTED,)) for model in models[:1]]


def read_model_file(files: RunFiles) -> ModelFile:
    """What a training run left: the model, a zip archive, and its predictions."""
    predictions = read_predictions(files.predictions)
    try:
        with zipfile.ZipFile(files.model) as archive:
            names = tuple(map(str, json.loads(archive.read("class_names.json"))))
            layers = json.loads(archive.read("config.json"))["config"]["layers"]
        shape = tuple(int(side) for side in layers[0]["config"]["batch_shape"][1:])
        both = any(layer["config"].get("name") == "both_logits" for layer in layers)  # see `models.build`
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, zipfile.BadZipFile):
        return ModelFile(predictions=predictions)
    return ModelFile(names, shape, len(names) == 2 and not both, predictions)
