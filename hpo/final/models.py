"""Final models to be used: what they are worth, what they say of pictures, and exported for other runtimes."""

import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpo.errors import BadInput
from hpo.final.prediction import Picture, Prediction, pick, probabilities, to_pictures, to_predictions
from hpo.worker.executor import wait
from hpo.worker.pool import Workers
from models.candidate import AnyCandidate
from models.export.formats import FORMATS
from studies.finals import FinalModel
from studies.forms import Form, Ranked, all_forms
from studies.paths import StudyFiles, name_of
from studies.tables import finals as tables
from studies.tables import forms as forms_tables
from studies.tables.frame import records_to_frame

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class Exported:
    """A final model in another format.

    Attributes:
        path: the file, or the folder of a SavedModel.
        numbers: what it is worth when its own runtime runs it.
        original: the same of the model as it was: that of the first training run, which is the one exported
            (`Model.accuracy` is the mean of all runs).
    """

    path: Path
    numbers: Form
    original: Form


class FinalModels(Sequence["Model"]):
    """The evaluated models of a study, from the most to the least accurate on the test pictures.

    A worker process predicts; it stays until `close`, or until nothing refers to these models any more.

    Attributes:
        study_name: of the study that they are of.
        files: its files.
        convert: exports and measures the model of a label in some formats, see `hpo.study.Study.convert`.
        failures: in one line each, runs that failed in this evaluation.
    """

    def __init__(
        self,
        study_name: str,
        files: StudyFiles,
        convert: Callable[..., tuple[list[Form], Path]],
        models: Sequence[FinalModel],
        failures: Sequence[str] = (),
        device: str = "auto",
    ):
        self.study_name, self.files, self.convert, self._device = study_name, files, convert, device
        self.failures = tuple(failures)
        self._models = [Model(self, model) for model in models]
        self._workers: Workers | None = None
        self._starting = threading.Lock()

    def __len__(self) -> int:
        return len(self._models)

    def __getitem__(self, which: Any) -> Any:
        """By place, or by name: `trial-7`, `7` or `baseline`."""
        return self.named(which) if isinstance(which, str) else self._models[which]

    def __iter__(self) -> Iterator["Model"]:
        return iter(self._models)

    def __repr__(self) -> str:
        return f"FinalModels({', '.join(f'{model.name}: {model.accuracy:.4f}' for model in self)})"

    @property
    def best(self) -> "Model":
        """The one most accurate on the test pictures.

        Raises:
            BadInput: there is none.
        """
        if not self._models:
            raise BadInput(f"no model of study {self.study_name} was evaluated")
        return self._models[0]

    def named(self, name: str | None) -> "Model":
        """The model of this name.

        Args:
            name: `trial-7`, `7` or `baseline`; None for the most accurate one.

        Raises:
            BadInput: there is no such model; the message names those that there are.
        """
        chosen = pick([model.final for model in self], name)
        return next(model for model in self if model.final is chosen)

    def to_pandas(self) -> "pandas.DataFrame":
        """A row for each model.

        Raises:
            PackageMissing: pandas is not installed.
        """
        return records_to_frame([tables.values(model.final) for model in self])

    @property
    def forms(self) -> list[Ranked]:
        """Each model as trained and as deployed, where `evaluate` was asked for runtimes; see `studies.forms`."""
        return all_forms([model.final for model in self], self.files)

    def forms_to_pandas(self) -> "pandas.DataFrame":
        """A row for each form of each model.

        Raises:
            PackageMissing: pandas is not installed.
        """
        return records_to_frame(forms_tables.records(self.forms))

    def _repr_html_(self) -> str:
        return tables.on_terminal([model.final for model in self]).to_html() if len(self) else "no models"

    def close(self) -> None:
        """End the worker that predicts; the next prediction starts another."""
        if self._workers is not None:
            self._workers.stop()
            self._workers = None

    def __enter__(self) -> "FinalModels":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def worker(self) -> Workers:
        """The worker that predicts, started when it is first needed."""
        with self._starting:
            if self._workers is None:
                self._workers = Workers(1, self._device, self.files.worker_log)
                weakref.finalize(self, self._workers.stop)
            return self._workers


class Model:
    """One final model: what it is worth, and what can be done with it.

    Attributes:
        final: all of its numbers.
        path: its file, of the first training run; `keras.saving.load_model` reads it without this project.
    """

    def __init__(self, models: FinalModels, final: FinalModel):
        self._models, self.final = models, final
        self.path = models.files.run(final.label, final.runs[0].seed).model

    def __repr__(self) -> str:
        return f"Model({self.name!r}, test accuracy {self.accuracy:.4f})"

    @property
    def name(self) -> str:
        """`trial 7` or `baseline`."""
        return name_of(self.final.label)

    @property
    def candidate(self) -> AnyCandidate:
        """What the trial decided."""
        return self.final.candidate

    @property
    def accuracy(self) -> float:
        """On the test pictures, 0 to 1, mean over the training runs."""
        return self.final.accuracy

    @property
    def interval(self) -> tuple[float, float]:
        """95 % for the accuracy, see `studies.difference.accuracy_interval`."""
        return self.final.interval

    @property
    def class_names(self) -> tuple[str, ...]:
        """In the order of the probabilities."""
        return tuple(self.final.runs[0].class_names)

    @property
    def forms(self) -> list[Ranked]:
        """As trained and as deployed; `best` marks the fastest one that does not lose more than chance explains."""
        return [one for one in self._models.forms if one.form.label == self.final.label]

    def predict(self, pictures: "Picture | Sequence[Picture]") -> list[Prediction]:
        """What the model says of pictures, which are prepared as the data set's own were.

        Args:
            pictures: files, PIL images or uint8 arrays (h, w), (h, w, 1) or (h, w, 3); one, or several, or an array
                (n, h, w, c).

        Returns:
            One prediction for each picture; none for none.

        Raises:
            BadInput: a picture cannot be read.
            ModelError: the model's file is damaged.
            WorkerLost, TaskFailed: the worker fails.
        """
        return to_predictions(self.probabilities(pictures), self.class_names)

    def probabilities(self, pictures: "Picture | Sequence[Picture]") -> np.ndarray:
        """(n, classes) float32, as `predict`."""
        run = self.final.runs[0]
        height, width, channels = run.shape
        prepared = to_pictures(_several(pictures), (height, width, channels))
        if not len(prepared):
            return np.empty((0, len(self.class_names)), "float32")
        return wait(self._models.worker().submit(probabilities, run, self.path, prepared))

    def export(self, name: str, progress: Any = False) -> Exported:
        """Write the model for another runtime, load it again with that, and measure it on the same test pictures.

        Args:
            name: savedmodel, onnx, litert or litert-int8.
            progress: show what is being done.

        Raises:
            BadInput: there is no such format, what it needs is not installed, or the pictures are not those of the
                study.
            WorkerLost, TaskFailed: the worker fails.
        """
        (original, numbers), folder = self._models.convert(self.final.label, [name], progress)
        return Exported(folder / FORMATS[name].file, numbers, original)


def _several(pictures: Any) -> Sequence[Any]:
    if isinstance(pictures, np.ndarray):
        return list(pictures) if pictures.ndim == 4 else [pictures]
    return pictures if isinstance(pictures, Sequence) and not isinstance(pictures, str) else [pictures]
