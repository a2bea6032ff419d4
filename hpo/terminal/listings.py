"""The tables of `--list-backbones` and `--list-datasets`, from the registries alone."""

from collections.abc import Sequence

from datasets.registry import DATASETS
from hpo.terminal.console import make_console, show
from models.catalogue import BACKBONES
from studies.tables.table import of_texts

BACKBONES_NOTE = """Smallest and native: sides of the square input in pixels; weights were trained at the native one.
Stages, which are unfrozen as a whole: models/cuts.py; blocks, with each of which a network may end: models/blocks.py.
ImageNet weights are those that Keras and torchvision publish for the native resolution, at every resolution; Keras has
more files for MobileNet and MobileNetV2 (96 to 192 px), which a study over resolutions does not mix. torchvision's
need the extra torch. custom_cnn's are ours, trained on CIFAR-10.
lenet5 is lenet5_colour where pictures have colour."""
DATASETS_NOTE = """Also any folder of pictures: FOLDER/<class>/* or FOLDER/{train,val,test}/<class>/*
(JPEG, PNG, BMP, first frame of GIF). <data-dir>/<name>.npz, as Keras keeps it, is preferred to a download.
Some classes of either: cifar10:cat,dog or FOLDER:cat,dog. Options of fake: fake:shape=64x64x3,classes=10,size=500."""


def print_backbones() -> None:
    """`--list-backbones`."""
    rows = [
        (
            backbone.name,
            f"{backbone.parameters:,}",
            str(backbone.min_resolution),
            str(backbone.native_resolution),
            str(backbone.stages),
            str(backbone.blocks),
            backbone.weights,
        )
        for backbone in BACKBONES.values()
    ]
    _print(
        ("backbone", "parameters without top", "smallest px", "native px", "stages", "blocks", "pretrained weights"),
        rows,
        BACKBONES_NOTE,
    )


def print_datasets() -> None:
    """`--list-datasets`."""
    rows = [
        (
            dataset.name,
            str(len(dataset.class_names)),
            f"{dataset.height}x{dataset.width}x{dataset.channels}",
            f"{dataset.n_train:,}",
            f"{dataset.n_test:,}",
            dataset.source,
        )
        for dataset in DATASETS.values()
    ]
    _print(("data set", "classes", "size", "train", "test", "where the data comes from"), rows, DATASETS_NOTE)


def _print(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]], note: str) -> None:
    console = make_console()
    show(console, of_texts("listing", "", heads, rows, left=(heads[0], heads[-1])))
    console.print(note, soft_wrap=True)
