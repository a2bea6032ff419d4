"""Models for other runtimes: written by TensorFlow's converters, and run by the runtime itself.

The only module that names these packages. All conversions need the TensorFlow backend; the weights do not care which
backend trained them.
"""

import importlib
import secrets
import shutil
import warnings
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path

import keras
import numpy as np

from models import ModelError
from models.export.convertible import convertible
from models.training.backend import forward

Runner = Callable[[np.ndarray], np.ndarray]  # (n, h, w, c) uint8 -> what the model gives, float32


def export(model: keras.Model, name: str, path: Path, calibration: np.ndarray) -> None:
    """Write a model in the format `name` to `path`, in one step; what was there is replaced.

    Args:
        model: raw pictures to probabilities.
        name: savedmodel, onnx, litert or litert-int8.
        path: the file, or the folder of a SavedModel.
        calibration: (n, h, w, c) uint8 pictures, from whose activations litert-int8 takes its ranges.

    Raises:
        ModelError: the backend is not TensorFlow.
        Exception: whatever a converter raises.
    """
    if keras.backend.backend() != "tensorflow":
        raise ModelError(f"models are exported with the tensorflow backend. Received: {keras.backend.backend()}")
    if name != "savedmodel":
        model = convertible(model)
    part = path.with_name(f".{secrets.token_hex(8)}.{path.name}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the converters' own
        try:
            match name:
                case "savedmodel":
                    model.export(part, format="tf_saved_model", verbose=False)
                case "onnx":
                    model(keras.ops.zeros((1, *model.input_shape[1:]), "uint8"))  # Keras 3.15 asks for one call before
                    model.export(part, format="onnx", verbose=False)
                case _:
                    part.write_bytes(_lite(model, calibration if name == "litert-int8" else None))
            _remove(path)
            part.replace(path)
        finally:
            _remove(part)


def export_one(model: keras.Model, name: str, path: Path) -> None:
    """Write a model for one picture at a time and without named signatures, for its latency: a tenth of the time.

    Args:
        model: with one input of fixed size.
        name: litert or onnx.
        path: the file.

    Raises:
        ModelError: the input has no fixed size.
        Exception: whatever a converter raises.
    """
    shape = tuple(model.inputs[0].shape[1:])
    if len(model.inputs) != 1 or None in shape:
        raise ModelError(f"latency needs one input of fixed size. Received: {[i.shape for i in model.inputs]}")
    if name == "litert":
        path.write_bytes(lite_for(model, 1))
    else:
        export(model, name, path, np.empty(0))


def lite_for(model: keras.Model, batch: int) -> bytes:
    """A model in inference mode as LiteRT's flat buffer, for so many pictures at once and without named signatures.

    Raises:
        Exception: whatever the converter raises.
    """
    import tensorflow as tf

    same = convertible(model)
    traced = tf.function(lambda pictures: same(pictures, training=False))
    concrete = traced.get_concrete_function(tf.TensorSpec((batch, *same.inputs[0].shape[1:]), same.inputs[0].dtype))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the converter's own
        return tf.lite.TFLiteConverter.from_concrete_functions([concrete]).convert()


class CannotConvert(Exception):
    """A model that LiteRT cannot take, or cannot run."""


def converted(model: keras.Model, batch: int, threads: int) -> Callable[[np.ndarray], list[np.ndarray]]:
    """A model as LiteRT runs it, from arrays (n, ...) to all of its outputs, `batch` rows in a call.

    Raises:
        CannotConvert: it cannot be converted, or not be run.
    """
    from tensorflow.lite.python.convert import ConverterError

    runtime = importlib.import_module("ai_edge_litert.interpreter")
    try:
        interpreter = runtime.Interpreter(model_content=lite_for(model, batch), num_threads=threads)
        interpreter.allocate_tensors()
    except (ConverterError, RuntimeError) as error:
        raise CannotConvert(str(error)) from error
    (entry,) = interpreter.get_input_details()
    outputs = [output["index"] for output in interpreter.get_output_details()]

    def run(x: np.ndarray) -> list[np.ndarray]:
        found: list[list[np.ndarray]] = [[] for _ in outputs]
        for start in range(0, len(x), batch):
            part = np.asarray(x[start : start + batch], entry["dtype"])
            if len(part) < batch:  # one shape
                part = np.concatenate([part, np.repeat(part[-1:], batch - len(part), axis=0)])
            interpreter.set_tensor(entry["index"], part)
            interpreter.invoke()
            for values, output in zip(found, outputs, strict=True):
                values.append(interpreter.get_tensor(output)[: len(x) - start])
        return [np.concatenate(values) for values in found]

    return run


def load(name: str, path: Path, threads: int) -> tuple[Runner, str]:
    """What runs an exported file, by its own runtime on `threads` cores, and that runtime's name with its version.

    It takes batches of any size and is made for many of one size.

    Raises:
        Exception: whatever the runtime raises.
    """
    return {"savedmodel": _saved_model, "onnx": _onnx}.get(name, _litert)(path, threads)


def _lite(model: keras.Model, calibration: np.ndarray | None) -> bytes:
    """The flat buffer; with calibration pictures post-training quantisation to int8, uint8 pictures in, float out."""
    import tensorflow as tf

    def pictures() -> Iterable[list[np.ndarray]]:
        assert calibration is not None
        return ([picture[None]] for picture in calibration)

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if calibration is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = pictures
    return converter.convert()


def original(model: keras.Model) -> tuple[Runner, str]:
    """The model itself, as `load` gives an exported one."""
    return forward(model), f"{keras.backend.backend()} {version(keras.backend.backend())}, {_device()}"


def _saved_model(path: Path, _threads: int) -> tuple[Runner, str]:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))
    return lambda pictures: loaded.serve(tf.constant(pictures)).numpy(), f"tensorflow {tf.__version__}, {_device()}"


def _onnx(path: Path, threads: int) -> tuple[Runner, str]:
    runtime = importlib.import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    return lambda pictures: session.run(None, {entry.name: pictures})[0], f"onnxruntime {runtime.__version__}, CPU"


def _litert(path: Path, threads: int) -> tuple[Runner, str]:
    interpreter = importlib.import_module("ai_edge_litert.interpreter").Interpreter(str(path), num_threads=threads)
    entry, answer = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    ready: tuple[int, ...] = ()

    def run(pictures: np.ndarray) -> np.ndarray:
        nonlocal ready
        if pictures.shape != ready:
            interpreter.resize_tensor_input(entry, pictures.shape)
            interpreter.allocate_tensors()
            ready = pictures.shape
        interpreter.set_tensor(entry, pictures)
        interpreter.invoke()
        return interpreter.get_tensor(answer)

    return run, f"ai-edge-litert {version('ai-edge-litert')}, CPU"


def size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def _device() -> str:
    return "GPU" if keras.distribution.list_devices("gpu") else "CPU"


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
