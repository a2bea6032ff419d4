"""Where a trained model looks: Grad-CAM (Selvaraju et al. 2017) and SmoothGrad saliency (Smilkov et al. 2017).

Both by tf-keras-vis, which needs TensorFlow as the backend. Gradients need real numbers, our models take uint8: so they
are taken behind the layers that convert and resize, at the side in pixels that the backbone sees.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from models import ModelError
from models.backbones import TO_FLOAT
from models.build import Network
from models.cuts import cut_points, stages, sweep_of
from models.keras_graph import made_by
from models.tokens import are_tokens, through_map, tokens_of

LEAST_CELLS = 4  # a map of fewer cells a side says nothing of where: then an earlier layer is taken
SMOOTH_SAMPLES = 16
AT_ONCE = 8  # pictures: gradients of more would need gigabytes
SMOOTH_NOISE = 0.15
SMALLEST = 1e-7  # probability whose logarithm is looked at


@dataclass(frozen=True)
class Looks:
    """Of n pictures, 0 to 1 each: maps of side `resolution`.

    Attributes:
        cam: (n, side, side), which parts speak for the class.
        saliency: (n, side, side), where small changes of a pixel change the class's score most.
        layer, cells: whose feature map the Grad-CAM is of, and its cells a side.
    """

    cam: np.ndarray
    saliency: np.ndarray
    layer: str
    cells: int


@dataclass(frozen=True)
class View:
    """What of a network is looked at.

    Attributes:
        pictures: its input, raw.
        start: the tensor from which gradients are taken, float32.
        scores: before the last activation, or the logarithms of probabilities.
        layer: whose feature map the Grad-CAM is of.
    """

    pictures: keras.KerasTensor
    start: keras.KerasTensor
    scores: keras.KerasTensor
    layer: keras.Layer

    @property
    def named(self) -> str:
        """The layer of the network that made that map, also where the map is of tokens put in their places."""
        tokens = tokens_of(self.layer.output)
        return self.layer.name if tokens is None else made_by(tokens).name


def view_of(network: Network) -> View:
    """Of one of ours.

    Raises:
        ModelError: its head stands on a class token that has not seen the picture yet.
    """
    if network.pooling == "token":
        return _view_of_token(network)
    return View(network.logits.input, _as_floats(network), network.logits.output, map_layer(network))


def _view_of_token(network: Network) -> View:
    """With a head on the class token: of the patches that enter the last attention, by which it sees them."""
    logits = network.logits
    entered = stages(network.base())[-1].tensor
    if not are_tokens(entered):
        raise ModelError("behind the first block a class token is the same for all pictures")
    patches, tokens = through_map(entered, logits.input, logits.name)
    return View(logits.input, _as_floats(network), keras.Model(entered, logits.output)(tokens), made_by(patches))


def view_of_classifier(model: keras.Model) -> View:
    """Of what a HyperModel builds, behind raw pictures.

    Raises:
        ModelError: it has no feature map, as a network of dense layers alone.
    """
    start = model.get_layer(TO_FLOAT).output
    found, has_weights = None, False
    for cut, segment in sweep_of(keras.Model(start, model.output)):
        has_weights = has_weights or any(getattr(operation, "weights", ()) for operation in segment)
        if has_weights and len(cut.tensor.shape) == 4 and min(cut.tensor.shape[1:3]) >= LEAST_CELLS:
            found = cut.tensor
    if found is None:
        raise ModelError(f"behind its first weights the network has no map of at least {LEAST_CELLS} cells a side")
    return View(model.input, start, keras.ops.log(model.output + SMALLEST), made_by(found))


def looks(view: View, images: np.ndarray, classes: np.ndarray) -> Looks:
    """What in `images` (n, h, w, c) uint8 speaks for `classes` (n,), numbers of classes.

    Raises:
        ModelError: the backend is not TensorFlow.
    """
    if keras.backend.backend() != "tensorflow":
        raise ModelError(f"Grad-CAM needs the tensorflow backend, this is {keras.backend.backend()}")
    from tf_keras_vis.gradcam import Gradcam
    from tf_keras_vis.saliency import Saliency

    start, layer = view.start, view.layer
    tail = keras.Model(start, view.scores)
    fresh = keras.models.clone_model(tail)  # tf-keras-vis takes a layer's first output for its only one
    fresh.set_weights(tail.get_weights())
    model = keras.Model(fresh.inputs, fresh.outputs[0])  # a list of inputs, as tf-keras-vis gives it
    x = keras.ops.convert_to_numpy(keras.Model(view.pictures, start)(images, training=False))
    cam, saliency = Gradcam(model, clone=False), Saliency(model, clone=False)
    cams, saliencies = [], []
    for first in range(0, len(x), AT_ONCE):
        part, score = x[first : first + AT_ONCE], _score(classes[first : first + AT_ONCE])
        cams.append(
            cam(score, part, penultimate_layer=layer.name, seek_penultimate_conv_layer=False, normalize_cam=False)
        )
        saliencies.append(
            saliency(score, part, smooth_samples=SMOOTH_SAMPLES, smooth_noise=SMOOTH_NOISE, normalize_map=False)
        )
    return Looks(
        _scaled(np.concatenate(cams)), _scaled(np.concatenate(saliencies)), view.named, int(layer.output.shape[1])
    )


def _score(classes: np.ndarray) -> Callable[[Any], list[Any]]:
    """Of `logits` (n, units) that of each picture's class (n,)."""

    def score(logits: Any) -> list[Any]:
        if logits.shape[-1] == 1:  # one logit, for the second class
            return [logits[n, 0] * (1.0 if classes[n] == 1 else -1.0) for n in range(len(classes))]
        return [logits[n, int(classes[n])] for n in range(len(classes))]

    return score


def map_layer(network: Network) -> keras.Layer:
    """The deepest layer whose feature map has at least `LEAST_CELLS` cells a side; else the last one before pooling.

    Only at cuts of the network: what is behind them sees nothing else of the picture.
    """
    last = network.logits.get_layer("pool").input
    if min(last.shape[1:3]) < LEAST_CELLS:
        for cut in reversed(cut_points(keras.Model(_as_floats(network), last))[1:]):
            layer = made_by(cut.tensor)
            padded = isinstance(layer, keras.layers.ZeroPadding2D)  # its border shows nothing
            if cut.size is not None and min(cut.tensor.shape[1:3]) >= LEAST_CELLS and not padded:
                return layer
    return made_by(last)


def _as_floats(network: Network) -> keras.KerasTensor:
    """The pictures as the backbone gets them, before grey becomes three channels: (n, side, side, c) float32."""
    names = {layer.name for layer in network.logits.layers}
    return network.resized if "resize" in names else network.logits.get_layer(TO_FLOAT).output


def _scaled(maps: np.ndarray) -> np.ndarray:
    """Each map's largest value becomes 1; one without any stays 0."""
    maps = np.maximum(np.asarray(maps, "float32"), 0)
    most = maps.max(axis=(1, 2), keepdims=True)
    return maps / np.where(most > 0, most, 1)
