"""The data sets known by name, and what is known of them without reading anything."""

from dataclasses import dataclass

_DIGITS = tuple("0123456789")
_FASHION = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
_CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_FAKE = tuple(f"class_{number}" for number in range(10))
# The fine labels in their official order, which is the alphabet's.
_CIFAR100 = tuple(
    """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle
    bowl boy bridge bus butterfly camel can castle caterpillar cattle
    chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur
    dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard
    lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain
    mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree
    plain plate poppy porcupine possum rabbit raccoon ray road rocket
    rose sea seal shark shrew skunk skyscraper snail snake spider
    squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor
    train trout tulip turtle wardrobe whale willow_tree wolf woman worm
    """.split()
)


@dataclass(frozen=True)
class DatasetInfo:
    """What is known of a data set by its name alone.

    Pictures are `height` x `width` x `channels`, uint8. `n_train` counts the development part, from which
    training and validation pictures are cut; `n_test` the test split. `source` says where the data comes from;
    `download` is what the loader of `keras.datasets` fetches, and the name it looks for below KERAS_HOME/datasets, of a
    data set that it has.
    """

    name: str
    class_names: tuple[str, ...]
    height: int
    width: int
    channels: int
    n_train: int
    n_test: int
    source: str
    download: tuple[str, str] | None = None

    def per_class(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Official numbers of pictures of each class: development part, test split. Most data sets are even."""
        n = len(self.class_names)
        return _UNEVEN.get(self.name, ((self.n_train // n,) * n, (self.n_test // n,) * n))


_UNEVEN = {
    "mnist": (
        (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949),
        (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009),
    ),
    "digits": (
        (142, 146, 142, 146, 145, 146, 145, 143, 139, 144),
        (36, 36, 35, 37, 36, 36, 36, 36, 35, 36),
    ),
}

_TORONTO = "https://www.cs.toronto.edu/~kriz"
_GOOGLE = "https://storage.googleapis.com/tensorflow/tf-keras-datasets"

DATASETS: dict[str, DatasetInfo] = {
    info.name: info
    for info in (
        DatasetInfo(
            "cifar10", _CIFAR10, 32, 32, 3, 50_000, 10_000, "CIFAR-10 through keras.datasets",
            (f"{_TORONTO}/cifar-10-python.tar.gz", "cifar-10-batches-py-target_archive"),
        ),
        DatasetInfo(
            "cifar100", _CIFAR100, 32, 32, 3, 50_000, 10_000, "CIFAR-100, fine labels, through keras.datasets",
            (f"{_TORONTO}/cifar-100-python.tar.gz", "cifar-100-python-target_archive"),
        ),
        DatasetInfo(
            "mnist", _DIGITS, 28, 28, 1, 60_000, 10_000, "MNIST through keras.datasets",
            (f"{_GOOGLE}/mnist.npz", "mnist.npz"),
        ),
        DatasetInfo(
            "fashion_mnist", _FASHION, 28, 28, 1, 60_000, 10_000, "Fashion-MNIST through keras.datasets",
            (
                f"{_GOOGLE}/train-images-idx3-ubyte.gz (and 3 more)",
                "fashion-mnist/train-images-idx3-ubyte.gz (and 3 more)",
            ),
        ),
        DatasetInfo("digits", _DIGITS, 8, 8, 1, 1_438, 359, "UCI digits that come with scikit-learn; no download"),
        DatasetInfo("fake", _FAKE, 32, 32, 3, 400, 100, "random pictures for smoke tests; see datasets/synthetic.py"),
    )
}  # fmt: skip
