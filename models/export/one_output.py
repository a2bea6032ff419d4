"""One output of a converted model that has several, as a model of its own: what does not lead to it is left out.

Networks that end behind different blocks share all below, so converting them at once takes little longer than
converting one of them, and each comes out with the operations that it would have had.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np


def extract(name: str, source: Path, outputs: dict[int, Path]) -> None:
    """Write models with one output each.

    Args:
        name: litert or onnx.
        source: the converted model.
        outputs: files by the number of an output, from 0.
    """
    (_onnx if name == "onnx" else _litert)(source, outputs)


def _litert(source: Path, outputs: dict[int, Path]) -> None:
    from tensorflow.lite.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model(str(source))
    (graph,) = model.subgraphs
    every, ends, data = graph.operators, graph.outputs, [buffer.data for buffer in model.buffers]
    for number, path in outputs.items():
        needed, operators = {ends[number]}, []
        for operator in reversed(every):
            if needed.intersection(operator.outputs):
                operators.append(operator)
                needed.update(operator.inputs)  # -1 stands for one that is not given
        graph.operators = operators[::-1]
        graph.outputs = np.asarray([ends[number]], "int32")
        kept = {graph.tensors[tensor].buffer for tensor in needed if tensor >= 0}
        for place, buffer in enumerate(model.buffers):
            buffer.data = data[place] if place in kept else None
        flatbuffer_utils.write_model(model, str(path))


def _onnx(source: Path, outputs: dict[int, Path]) -> None:
    import onnx
    from onnx.utils import Extractor

    model = onnx.load(source)
    inputs = [entry.name for entry in model.graph.input]
    for number, path in outputs.items():
        onnx.save(Extractor(model).extract_model(inputs, [model.graph.output[number].name]), path)
