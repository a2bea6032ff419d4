"""models/export/one_output.py: one of several networks that were converted at once is what it would be alone."""

import numpy as np
import pytest

from models.build import Task, build_ends, build_network
from models.candidate import Candidate
from models.export.one_output import extract
from models.export.runtimes import export_one, load

TASK = Task(24, 24, 3, 3, "none")


def candidate(keep_blocks, backbone="custom_cnn", resolution=16):
    plain = {"unfreeze_depth": 0, "dropout": 0.0, "learning_rate": 1e-3, "lr_schedule": "constant"}
    return Candidate(backbone=backbone, resolution=resolution, head_width=0, keep_blocks=keep_blocks, **plain)


def operations(path):
    """The numbers of the kinds of operations, in their order."""
    from tensorflow.lite.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model(str(path))
    kinds = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    return [kinds[operator.opcodeIndex] for operator in model.subgraphs[0].operators]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backbone", "side", "all_blocks", "chosen"),
    [
        ("custom_cnn", 16, (2, 3, 0), (2, 3, 0)),
        ("mobilenet_v2_0.35", 32, (*range(1, 18), 0), (6, 11)),  # before projections, sums beside them
        ("resnet18", 32, (*range(1, 9), 0), (4, 7)),  # sums, then ReLU
    ],
)
def test_it_is_what_it_would_be_alone(tmp_path, backbone, side, all_blocks, chosen):
    made = [candidate(blocks, backbone, side) for blocks in all_blocks]
    export_one(build_ends(made, TASK), "litert", tmp_path / "together")
    wanted = {number: tmp_path / str(blocks) for number, blocks in enumerate(all_blocks) if blocks in chosen}
    extract("litert", tmp_path / "together", wanted)
    for blocks in chosen:
        alone = build_network(candidate(blocks, backbone, side), TASK, 0).model
        export_one(alone, "litert", tmp_path / "alone")
        assert operations(tmp_path / str(blocks)) == operations(tmp_path / "alone")
        size, alone = (path.stat().st_size for path in (tmp_path / str(blocks), tmp_path / "alone"))
        assert size == pytest.approx(alone, rel=0.5)  # the weights of what was left out are not in it


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["litert", "onnx"])
def test_it_computes_what_the_network_does(tmp_path, runtime):
    if runtime == "onnx":
        pytest.importorskip("onnxruntime")
    model = build_ends([candidate(1), candidate(0)], TASK)
    export_one(model, runtime, tmp_path / "together")
    extract(runtime, tmp_path / "together", {0: tmp_path / "first.model", 1: tmp_path / "whole.model"})
    pictures = np.random.default_rng(0).integers(0, 256, (1, 24, 24, 3), dtype="uint8")
    for name, expected in zip(("first.model", "whole.model"), model(pictures, training=False), strict=True):
        run, _ = load(runtime, tmp_path / name, 1)
        np.testing.assert_allclose(run(pictures), expected, atol=1e-5)
