"""Activations behind frozen layers, computed once: from the pictures, or from a shallower cut that is stored already.

The cuts of a candidate, from the deepest to the shallowest: `pooled`, `pooled_max` or `pooled_token` (what the head
stands on, when only it is trained; `pooled_e12` where the network ends with its 12th block), `top1`, `top2`, ... (what
enters the top stages, counted in the whole backbone, so that networks which end earlier share them), `resized` (the
pictures at the backbone's resolution).
"""

import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import prod

import keras
import numpy as np

from models import cuts, flops
from models.build import Network
from models.reuse.activations import ActivationStore, FeatureOverflow, Key
from models.reuse.frozen import Run, run_frozen

BATCH = 128
POOLED, RESIZED, PICTURES = "pooled", "resized", "pictures"


def cut_name(depth: int, pooling: str = "average", keep_blocks: int = 0, above: int = 0) -> str:
    """The cut behind which `depth` stages and the head are trained.

    Args:
        depth: stages from the top of what is kept.
        pooling: of the features of a head alone.
        keep_blocks: of the backbone, 0 for all.
        above: stages of the backbone that are not kept.
    """
    if depth:
        return f"top{depth + above}"
    return POOLED + ("" if pooling == "average" else f"_{pooling}") + (f"_e{keep_blocks}" if keep_blocks else "")


_tensors: "weakref.WeakKeyDictionary[keras.Model, dict[str, keras.KerasTensor]]" = weakref.WeakKeyDictionary()


def cut_tensors(network: Network) -> dict[str, keras.KerasTensor]:
    """Every cut of a network by its name, from the deepest to the shallowest; found once for each network."""
    if network.logits not in _tensors:
        _tensors[network.logits] = _find_cuts(network)
    return _tensors[network.logits]


def _find_cuts(network: Network) -> dict[str, keras.KerasTensor]:
    base, above = network.base(), network.above
    tensors = {cut_name(0, network.pooling, network.keep_blocks): network.logits.get_layer("pool").output}
    for depth in range(1, len(cuts.stages(base))):
        tensors[cut_name(depth, above=above)] = cuts.cut_tensor(base, depth)
    if network.resized is not network.logits.input:
        tensors[RESIZED] = network.resized
    tensors[PICTURES] = network.logits.input
    return tensors


def flops_between(network: Network, start: str, end: str | None = None) -> int:
    """FLOPs of one picture from a cut to a deeper one, or to the logits."""
    tensors = cut_tensors(network)
    return flops.count(keras.Model(tensors[start], tensors[end] if end else network.logits.output)).flops


class _Gone(LookupError):
    """Stored features that were there a moment ago are not any more: another process made room, or they are damaged."""


@dataclass(frozen=True)
class Origin:
    """Where features can be computed from: the nearest cut that is stored, or the pictures."""

    cut: str
    flops: int  # for each picture, from there to the wanted cut


class Features:
    """The features of one set of pictures at one cut.

    Args:
        key: identity of what is wanted; `key.cut` is one of `cut_tensors`.
        network: called only if something has to be computed.
        pictures: (n, h, w, c) uint8 in batches, in the order of the rows; called only if no shallower cut is stored.
        traced: what has been traced for this cut of the network, by where it starts; shared by sets of one cut.
    """

    def __init__(
        self,
        cache: ActivationStore,
        key: Key,
        n: int,
        network: Callable[[], Network],
        pictures: Callable[[], Iterator[np.ndarray]],
        traced: dict[str, Run] | None = None,
    ):
        self._traced = {} if traced is None else traced
        self.cache, self.key, self.n, self._network, self._pictures = cache, key, n, network, pictures

    def present(self) -> bool:
        """Whether they are stored, in either dtype."""
        return any(self.cache.has(key) for key in self._keys(self.key))

    def bytes(self) -> int:
        """What they take on disk."""
        shape = cut_tensors(self._network())[self.key.cut].shape[1:]
        return self.n * prod(shape) * np.dtype(self.key.dtype).itemsize

    def origin(self) -> Origin:
        """The nearest beginning; the wanted cut itself, at no cost, if it is stored."""
        if self.present():
            return Origin(self.key.cut, 0)
        network = self._network()
        start = self._nearest(list(cut_tensors(network)))
        return Origin(start, flops_between(network, start, self.key.cut))

    def load(self, on_step: Callable[[float], None] = lambda share: None, store: bool = True) -> np.ndarray:
        """(n, ...) float16 or float32, in the order of the rows; read-only and memory-mapped if stored.

        float32 where float16 cannot hold them, or where the key asks for it.

        Args:
            on_step: called with the share that is done while they are computed.
            store: whether to keep them; if not, and if they are not there, they are computed into memory.

        Raises:
            TooLarge, OSError: there is no room, as in `ActivationStore.get`.
        """
        for key in self._keys(self.key):
            activations = self.cache.find(key)
            if activations is not None:
                return activations
        tensors = cut_tensors(self._network())
        shape = (self.n, *tensors[self.key.cut].shape[1:])
        try:
            return self._compute(tensors, self._nearest(list(tensors)), shape, on_step, store)
        except _Gone:
            return self._compute(tensors, PICTURES, shape, on_step, store)

    def _compute(
        self,
        tensors: dict[str, keras.KerasTensor],
        start: str,
        shape: tuple[int, ...],
        on_step: Callable[[float], None],
        store: bool,
    ) -> np.ndarray:
        if start not in self._traced:
            model = keras.Model(tensors[start], [tensors[self.key.cut]])
            self._traced[start] = run_frozen(model, self.n, BATCH)
        run = self._traced[start]

        def produce() -> Iterator[np.ndarray]:
            done = 0
            for x in self._from(start):
                short = BATCH - len(x)
                padded = np.concatenate([x, np.repeat(x[-1:], short, axis=0)]) if short else x  # one shape, one trace
                (features,) = run(padded)
                yield features[: len(x)]
                done += len(x)
                on_step(done / self.n)

        def wait() -> None:  # while another process computes the same
            on_step(0.0)

        if not store:
            return np.concatenate([batch.astype(self.key.dtype) for batch in produce()])
        try:
            return self.cache.get(self.key, shape, produce, wait)
        except FeatureOverflow:
            return self.cache.get(replace(self.key, dtype="float32"), shape, produce, wait)

    def _keys(self, key: Key) -> list[Key]:
        return [key] if key.dtype == "float32" else [key, replace(key, dtype="float32")]

    def _nearest(self, names: list[str]) -> str:
        """The deepest cut before the wanted one that is stored, else the pictures."""
        for name in names[names.index(self.key.cut) + 1 :]:
            if name == PICTURES or any(self.cache.has(key) for key in self._keys(self._at(name))):
                return name
        return PICTURES

    def _at(self, cut: str) -> Key:
        """The same pictures at another cut. Resized ones are the same for every backbone and its weights."""
        if cut == RESIZED:
            return replace(self.key, cut=cut, backbone="", weights="")
        return replace(self.key, cut=cut)

    def _from(self, start: str) -> Iterator[np.ndarray]:
        """Batches of what enters, at most `BATCH` rows each."""
        for key in self._keys(self._at(start)) if start != PICTURES else []:
            activations = self.cache.find(key)
            if activations is not None:
                yield from (activations[row : row + BATCH] for row in range(0, self.n, BATCH))
                return
        if start != PICTURES:
            raise _Gone
        for batch in self._pictures():
            yield from (batch[row : row + BATCH] for row in range(0, len(batch), BATCH))
