"""The pictures of a report: samples of the data, the worst mistakes, and where the models look."""

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from PIL import Image

from datasets import DataError
from datasets.dataset import Dataset
from datasets.preview.figure import strip
from datasets.preview.samples import to_preview
from datasets.registry import inspect
from datasets.wording import counted, printable
from hpo.config import StudyConfig
from hpo.worker import session
from models import ModelError
from models.candidate import Candidate
from studies.errors import StudyRefused
from studies.finals import Predictions
from studies.report.blocks import Picture
from studies.report.detail import Detail
from studies.report.gallery import Gallery, Judged, ModelPictures, judged, right_ones, worst_mistakes
from studies.report.material import Material
from studies.report.tested import MOST_MISTAKES
from studies.report.wording import percent

SAMPLES = 8  # of each class
MOST_CLASSES = 20  # with samples, and looked at
LOOKED_AT = 4  # wrong ones
NOTHING_FOR = "Grad-CAM is empty: no cell of its map speaks for this class"  # what speaks against it is not drawn
NOTHING_MATTERS = "saliency is empty: no pixel changes the score"
PANEL = 128  # pixels of a side
GAP = 6


def gallery(material: Material, config: StudyConfig) -> tuple[Gallery, list[str]]:
    """In a worker, as Grad-CAM needs Keras: the pictures, and in one line each what could not be made.

    Test pictures are read only after `hpo.evaluate`.
    """
    try:
        side = material.fingerprint.side
        data = session.current().data(config, side)
        if data.digest != material.fingerprint.dataset_digest:
            raise DataError(f"the data here is not what study {material.name} was made with")
    except (DataError, StudyRefused) as error:
        return Gallery(), [f"pictures of the data: {error}"]
    pictures = _samples(data, config)
    details = [one for one in material.details if one.file.predictions is not None]
    if not details:
        return pictures, []
    try:
        images, labels = session.current().test_data(config, side)
    except DataError as error:
        return pictures, [f"test pictures: {error}"]
    missing: dict[str, None] = {}  # each reason once
    models = {}
    for one in details:
        assert one.file.predictions is not None
        if not np.array_equal(labels, one.file.predictions.labels):
            missing["test pictures: they are not those that the models were tested on"] = None
            continue
        models[one.model.label] = _mistakes(one, one.file.predictions, images)
        try:
            run = one.model.runs[0]
            path = material.files.run(one.model.label, run.seed).model
            taken, again = images, labels
            if run.shape and images.shape[1:] != tuple(run.shape):  # early versions did not write it down
                taken, again = session.current().test_data(config, run.shape[0])
            if not np.array_equal(again, labels):
                raise DataError(f"the pictures at {run.shape[0]} px are not those at {side} px")
            models[one.model.label] = _with_looks(models[one.model.label], one, one.file.predictions, path, taken)
        except (ModelError, DataError) as error:
            missing[f"Grad-CAM and saliency: {error}"] = None
    return replace(pictures, models=models), list(missing)


def _samples(data: Dataset, config: StudyConfig) -> Gallery:
    facts = inspect(config.dataset, config.data_dir, config.skip_unreadable, config.follow_links)
    preview = to_preview(data, facts.height, SAMPLES, "none", config.dataset)
    rows = preview.rows[:MOST_CLASSES]
    pictures = tuple(
        Picture(png(strip(row, SAMPLES)), f"{counted(len(row.samples), 'picture')} of {printable(row.name)}", row.name)
        for row in rows
        if len(row.samples)
    )
    more = len(preview.counts) - len(rows)
    which = (
        "Samples of each class" if not more else f"Samples of the first {len(rows)} of {len(preview.counts)} classes"
    )
    return Gallery(
        class_names=preview.facts.class_names,
        counts=preview.counts,
        samples=pictures,
        samples_note=f"{which}, drawn with a fixed seed from the pictures that are not test pictures.",
    )


def _mistakes(detail: Detail, predictions: Predictions, images: np.ndarray) -> ModelPictures:
    wrong = worst_mistakes(predictions, MOST_MISTAKES)
    return ModelPictures(
        mistakes=tuple(_mistake(images[mistake.place], mistake, detail.class_names) for mistake in wrong),
        mistakes_note="the pictures that were classified wrongly with the highest confidence." if wrong else "",
    )


def _mistake(image: np.ndarray, mistake: Judged, names: Sequence[str]) -> Picture:
    true, guess = names[mistake.true], names[mistake.predicted]
    caption = f"{true} taken for {guess}, {percent(mistake.confidence)} sure"
    return Picture(png(image), f"Test picture {mistake.place}: {caption}", caption)


def _with_looks(
    so_far: ModelPictures, detail: Detail, predictions: Predictions, path: Path, images: np.ndarray
) -> ModelPictures:
    """Grad-CAM and saliency of correct and wrong pictures. Raises ModelError if the model cannot be used."""
    from models.export.keras_file import restore, restore_network
    from models.saliency import looks, view_of, view_of_classifier

    names, candidate = detail.class_names, detail.model.candidate
    wrong = worst_mistakes(predictions, LOOKED_AT)
    right = judged(predictions, [example.place for example in right_ones(predictions, MOST_CLASSES)])
    shown = [*right, *wrong]
    if not shown:
        return so_far
    pictures = np.asarray(images[[example.place for example in shown]])
    shape = images.shape[1:]
    if isinstance(candidate, Candidate):
        view = view_of(restore_network(candidate, shape, len(names), path))
    else:
        view = view_of_classifier(restore(candidate, shape, len(names), path))
    seen = looks(view, pictures, np.array([example.predicted for example in shown]))
    panels = []
    for row, example in enumerate(shown):
        true, guess = names[example.true], names[example.predicted]
        what = f"correct: {true}" if example.true == example.predicted else f"wrong: {true} taken for {guess}"
        caption = f"{what}, {percent(example.confidence)} sure"
        for seen_of, why in ((seen.cam, NOTHING_FOR), (seen.saliency, NOTHING_MATTERS)):
            caption += f"; {why}" if not seen_of[row].any() else ""
        alt = f"Test picture {example.place}, the same under its Grad-CAM, and its saliency. {caption}"
        panels.append(Picture(png(_panels(pictures[row], seen.cam[row], seen.saliency[row])), alt, caption))
    few = f" (the first {MOST_CLASSES} of {len(names)})" if len(right) == MOST_CLASSES < len(names) else ""
    note = (
        f"What {detail.title} looks at when it decides. Each group shows a test picture, the same under its "
        f"Grad-CAM (bright: speaks for the predicted class; the map has {seen.cells} × {seen.cells} cells, from layer "
        f"{seen.layer}), and SmoothGrad saliency (bright: where a small change matters most). First the correct "
        f"picture of the highest confidence of each class that has one{few}, then the "
        f"{counted(len(wrong), 'worst mistake')}. Such maps are hints, no more."
    )
    return replace(so_far, saliency=tuple(panels), saliency_note=note)


def _panels(image: np.ndarray, cam: np.ndarray, saliency: np.ndarray) -> np.ndarray:
    """(PANEL, 3 PANEL, 3) uint8 with gaps: picture, Grad-CAM over the grey picture, saliency."""
    plain = _square(image if image.shape[-1] == 3 else np.repeat(image, 3, axis=-1))
    grey = plain.mean(axis=-1, keepdims=True)
    heat = 255 * colormaps["inferno"](_square(cam))[..., :3]
    over = np.clip(0.45 * grey + 0.55 * heat, 0, 255)
    noise = 255 * colormaps["inferno"](_square(saliency))[..., :3]
    gap = np.full((PANEL, GAP, 3), 255.0)
    return np.concatenate([plain, gap, over, gap, noise], axis=1).astype("uint8")


def _square(picture: np.ndarray) -> np.ndarray:
    """At the panel's size: maps smoothly, small pictures with their pixels."""
    if picture.ndim == 2:
        resized = Image.fromarray(picture.astype("float32")).resize((PANEL, PANEL), Image.Resampling.BILINEAR)
        return np.asarray(resized)
    how = Image.Resampling.NEAREST if picture.shape[0] < PANEL else Image.Resampling.LANCZOS
    return np.asarray(Image.fromarray(picture).resize((PANEL, PANEL), how), dtype="float32")


def png(picture: np.ndarray) -> bytes:
    """(h, w, 1 or 3) uint8 as the bytes of a file."""
    stream = io.BytesIO()
    Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture).save(stream, "png", optimize=True)
    return stream.getvalue()
