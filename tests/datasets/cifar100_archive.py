"""A small archive in CIFAR-100's official format, since the real one cannot be had offline.

Format (cs.toronto.edu/~kriz/cifar.html): `cifar-100-python/{train,test,meta}` in a .tar.gz, each a dict pickled by
Python 2 (protocol 2, every string a byte string); a row of `data` is a picture's red, then green, then blue plane.
"""

import io
import pickle
import struct
import tarfile
from pathlib import Path
from typing import ClassVar

import numpy as np

# The 20 superclasses in order, each with its 5 classes; a class's fine label is its place in the alphabet.
SUPERCLASSES = {
    "aquatic_mammals": "beaver dolphin otter seal whale",
    "fish": "aquarium_fish flatfish ray shark trout",
    "flowers": "orchid poppy rose sunflower tulip",
    "food_containers": "bottle bowl can cup plate",
    "fruit_and_vegetables": "apple mushroom orange pear sweet_pepper",
    "household_electrical_devices": "clock keyboard lamp telephone television",
    "household_furniture": "bed chair couch table wardrobe",
    "insects": "bee beetle butterfly caterpillar cockroach",
    "large_carnivores": "bear leopard lion tiger wolf",
    "large_man-made_outdoor_things": "bridge castle house road skyscraper",
    "large_natural_outdoor_scenes": "cloud forest mountain plain sea",
    "large_omnivores_and_herbivores": "camel cattle chimpanzee elephant kangaroo",
    "medium_mammals": "fox porcupine possum raccoon skunk",
    "non-insect_invertebrates": "crab lobster snail spider worm",
    "people": "baby boy girl man woman",
    "reptiles": "crocodile dinosaur lizard snake turtle",
    "small_mammals": "hamster mouse rabbit shrew squirrel",
    "trees": "maple_tree oak_tree palm_tree pine_tree willow_tree",
    "vehicles_1": "bicycle bus motorcycle pickup_truck train",
    "vehicles_2": "lawn_mower rocket streetcar tank tractor",
}
FINE_NAMES = sorted(name for names in SUPERCLASSES.values() for name in names.split())
COARSE_OF = {name: number for number, names in enumerate(SUPERCLASSES.values()) for name in names.split()}


class _Python2Pickler(pickle._Pickler):  # type: ignore[name-defined]
    """Writes byte strings as Python 2 wrote its `str`."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)  # type: ignore[attr-defined]

    def _save_bytes(self, text: bytes) -> None:
        self.write(b"T" + struct.pack("<i", len(text)) + text)
        self.memoize(text)

    dispatch[bytes] = _save_bytes


def _pickled(content: dict) -> bytes:
    stream = io.BytesIO()
    _Python2Pickler(stream, protocol=2).dump(content)
    return stream.getvalue().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")  # its name before NumPy 2


def _part(images: np.ndarray, labels: np.ndarray) -> dict:
    return {
        b"filenames": [b"picture_%d.png" % number for number in range(len(labels))],
        b"batch_label": b"a part",
        b"fine_labels": labels.tolist(),
        b"coarse_labels": [COARSE_OF[FINE_NAMES[label]] for label in labels],
        b"data": images.transpose(0, 3, 1, 2).reshape(len(images), 3072),
    }


def write_archive(path: Path, train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray]) -> None:
    """Both parts as (n, 32, 32, 3) uint8 and (n,) fine labels."""
    meta = {
        b"fine_label_names": [name.encode() for name in FINE_NAMES],
        b"coarse_label_names": [name.encode() for name in SUPERCLASSES],
    }
    with tarfile.open(path, "w:gz") as archive:
        for name, content in (("meta", meta), ("train", _part(*train)), ("test", _part(*test))):
            content = _pickled(content)
            member = tarfile.TarInfo(f"cifar-100-python/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
