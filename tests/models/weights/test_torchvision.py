"""torchvision's weights: the same outputs as torch, and anything but the published file refused in one line.

The files themselves are not needed: a reference in torch with random weights stands for them.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models import ModelError, zoo
from models.backbones import with_top
from models.catalogue import BACKBONES, TORCHVISION
from models.weights import torchvision
from models.weights.hdf5 import sha256_of
from models.weights.loading import load_backbone_weights
from models.weights.torchvision import PUBLISHED, convert, fetch, read
from models.weights.values import weights_digest

NAMES = tuple(PUBLISHED)
SMALL = "resnet18"  # in tests of what is refused


@pytest.fixture(scope="session")
def torch() -> Any:
    return pytest.importorskip("torch", reason="the extra torch is not installed")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder where weights are kept, and no network."""

    def offline(*_: Any, **__: Any) -> str:
        raise Exception("URL fetch failure: None -- Name or service not known")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr("keras.utils.get_file", offline)
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


def _publish(name: str, state: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Puts a state dict where the published file is looked for, and states its size and hash."""
    import torch

    path = folder / PUBLISHED[name].file_name
    torch.save(state, path)
    stated = {"mib": round(path.stat().st_size / 2**20, 3), "sha256": sha256_of(path)[:8]}
    monkeypatch.setitem(PUBLISHED, name, dataclasses.replace(PUBLISHED[name], **stated))
    return path


def _pictures(n: int, side: int) -> np.ndarray:
    return np.random.default_rng(side).uniform(0, 255, (n, side, side, 3)).astype("float32")


def _state(name: str) -> dict[str, np.ndarray]:
    from tests.models.torch_reference import reference

    return {key: value.numpy() for key, value in reference(name).state_dict().items()}


def test_every_backbone_of_torchvision_is_published() -> None:
    assert {name for name, backbone in BACKBONES.items() if backbone.weights == TORCHVISION} == set(PUBLISHED)
    for published in PUBLISHED.values():
        assert published.file_name.endswith(f"-{published.sha256}.pth")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_same_logits_as_torch(name: str, torch: Any) -> None:
    import keras

    from tests.models.torch_reference import normalised, reference

    theirs = reference(name)
    model = with_top(BACKBONES[name], 224)
    tensors = {key: value.numpy() for key, value in theirs.state_dict().items()}
    convert(model, zoo.torch_modules(name), tensors, PUBLISHED[name].left_out)
    logits = keras.Model(model.input, model.layers[-1].input)
    pictures = _pictures(2, 224)
    with torch.inference_mode():
        expected = theirs(normalised(torch.from_numpy(pictures))).numpy()
    found = keras.ops.convert_to_numpy(logits(pictures, training=False))
    assert expected.std() > 0.1  # so that 1e-4 says something
    assert np.abs(expected[0] - expected[1]).max() > 0.01  # and the pictures matter
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "name", [name if name == SMALL else pytest.param(name, marks=pytest.mark.slow) for name in NAMES]
)
@pytest.mark.parametrize(
    "side", [64, pytest.param(75, marks=pytest.mark.slow), pytest.param(97, marks=pytest.mark.slow)]
)
def test_same_features_as_torch_at_other_sizes(name: str, side: int, torch: Any, build: Callable[..., Any]) -> None:
    """Where the poolings meet odd and even maps."""
    import keras

    from tests.models.torch_reference import normalised, reference

    theirs, base = reference(name), build(name, side)
    convert(base, zoo.torch_modules(name), _state(name), PUBLISHED[name].left_out)
    pictures = _pictures(1, side)
    with torch.inference_mode():
        expected = theirs.maps(normalised(torch.from_numpy(pictures))).permute(0, 2, 3, 1).numpy()
    found = keras.ops.convert_to_numpy(base(pictures, training=False))
    assert expected.std() > 0.1
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


@pytest.mark.slow
def test_convolution_with_a_top_of_another_size(torch: Any) -> None:
    """AlexNet's top averages to 6 x 6 as torch does, where the map is larger, smaller or one pixel."""
    import keras

    from tests.models.torch_reference import normalised, reference

    theirs = reference("alexnet")
    for side in (64, 128, 299):
        model = with_top(BACKBONES["alexnet"], side)
        pooled = keras.Model(model.input, model.get_layer("avg_pool").output)
        convert(pooled, zoo.torch_modules("alexnet"), _state("alexnet"))
        pictures = _pictures(1, side)
        with torch.inference_mode():
            expected = theirs.avgpool(theirs.maps(normalised(torch.from_numpy(pictures)))).permute(0, 2, 3, 1).numpy()
        np.testing.assert_allclose(keras.ops.convert_to_numpy(pooled(pictures)), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_pretrained(
    name: str, torch: Any, home: Path, build: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the published file to the backbone, once with torch and from then on without."""
    from tests.models.torch_reference import reference

    source = _publish(name, reference(name).state_dict(), home, monkeypatch)
    base, backbone = build(name), BACKBONES[name]
    expected = build(name)
    convert(expected, zoo.torch_modules(name), _state(name), PUBLISHED[name].left_out)
    load_backbone_weights(base, backbone, "pretrained")
    assert weights_digest(base) == weights_digest(expected)

    card = json.loads((home / f"{source.stem}.json").read_text())
    kept = home / f"{source.stem}.weights.h5"
    assert (card["backbone"], card["source"], card["sha256"]) == (name, PUBLISHED[name].url, sha256_of(kept))
    assert card["source_sha256"].startswith(PUBLISHED[name].sha256)
    assert sorted(path.name for path in home.iterdir()) == sorted([source.name, kept.name, f"{source.stem}.json"])

    source.unlink()
    monkeypatch.setattr(importlib.util, "find_spec", lambda *_: None)
    other = build(name, 48)
    load_backbone_weights(other, backbone, "pretrained")
    assert weights_digest(other) == weights_digest(expected)
    kept.write_bytes(kept.read_bytes()[:-1] + b"x")
    with pytest.raises(ModelError, match="SHA-256 differ"):
        load_backbone_weights(base, backbone, "pretrained")


def _refused(match: str, build: Callable[..., Any]) -> str:
    with pytest.raises(ModelError, match=match) as caught:
        load_backbone_weights(build(SMALL), BACKBONES[SMALL], "pretrained")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_without_torch_one_line_says_what_to_install(
    home: Path, build: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda *_: None)
    _refused(r"resnet18 needs the package torch.*pip install 'keras-hpo\[torch\]'", build)


def test_without_network_one_line_says_what_to_do(
    home: Path, build: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torchvision, "require_torch", lambda _: None)
    message = _refused("resnet18 cannot be fetched: URL fetch failure", build)
    for part in (str(home / "resnet18-f37072fd.pth"), "44.661 MiB", "f37072fd", "KERAS_HOME", "--weights none"):
        assert part in message
    assert list(home.iterdir()) == []


def test_another_file_is_refused(home: Path, build: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchvision, "require_torch", lambda _: None)
    path = home / PUBLISHED[SMALL].file_name
    path.write_bytes(b"no weights")
    message = _refused("is not torchvision's resnet18-f37072fd.pth", build)
    assert message.startswith(f"{path} ")
    assert message.endswith("remove it")
    assert path.exists()  # it is the user's


def test_a_download_that_is_damaged_is_not_kept(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    def download(name: str, origin: str, cache_dir: Path, cache_subdir: str, **_: Any) -> str:
        path = Path(cache_dir) / cache_subdir / name
        path.write_bytes(contents)
        asked.append((name, origin))
        return str(path)

    monkeypatch.setattr("keras.utils.get_file", download)
    contents = b"half"
    with pytest.raises(ModelError, match=r"resnet18-f37072fd.pth: 0.0 MiB and SHA-256 .{8}\.\.\., published"):
        fetch(SMALL, home)
    assert list(home.iterdir()) == []

    contents = bytes(2**20)
    stated = {"mib": 1.0, "sha256": "30e14955"}  # of a MiB of zeros
    monkeypatch.setitem(PUBLISHED, SMALL, dataclasses.replace(PUBLISHED[SMALL], **stated))
    path = fetch(SMALL, home)
    assert path == home / "resnet18-f37072fd.pth"
    assert fetch(SMALL, home) == path
    assert asked == [("resnet18-f37072fd.pth.part", PUBLISHED[SMALL].url)] * 2  # not a third time
    assert list(home.iterdir()) == [path]


def _without(state: Any, name: str) -> Any:
    return {key: value for key, value in state.items() if key != name}


CHANGES: list[tuple[Callable[[Any, Any], Any], str]] = [
    (lambda state, _: _without(state, "layer3.0.bn2.running_var"), "tensor layer3.0.bn2.running_var is missing"),
    (lambda state, _: _without(state, "fc.bias"), "tensor fc.bias is missing"),  # though the top is not used
    (
        lambda state, torch: state | {"layer4.0.conv1.weight": torch.zeros(512, 256, 1, 3)},
        r"layer4.0.conv1.weight has shape \(512, 256, 1, 3\), expected \(512, 256, 3, 3\)",
    ),
    (
        lambda state, torch: state | {"bn1.weight": torch.zeros(64, 1)},
        r"bn1.weight has shape \(64, 1\), expected \(64,\)",
    ),
    (lambda state, torch: state | {"aux1.fc.weight": torch.zeros(2)}, r"tensor aux1.fc.weight \(2,\) is left over"),
    (lambda state, torch: state | {"bn1.bias": torch.full((64,), torch.nan)}, "tensor bn1.bias must be finite numbers"),
    (lambda state, torch: state | {"epoch": 3}, "must hold named tensors only. Received: int 'epoch'"),
    (lambda state, torch: [1], "must hold a state dict. Received: list"),
    (lambda state, torch: {"path": Path("x")}, "torch cannot read it: "),  # would have to be run
]


@pytest.mark.slow
@pytest.mark.parametrize(("change", "match"), CHANGES)
def test_a_tensor_that_does_not_fit_is_named(
    change: Callable[[Any, Any], Any],
    match: str,
    torch: Any,
    home: Path,
    build: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from tests.models.torch_reference import reference

    path = _publish(SMALL, change(dict(reference(SMALL).state_dict()), torch), home, monkeypatch)
    message = _refused(match, build)
    assert str(path) in message
    assert list(home.iterdir()) == [path]


def test_nothing_is_set_unless_everything_fits(torch: Any, build: Callable[..., Any]) -> None:
    base = build(SMALL)
    before = weights_digest(base)
    with pytest.raises(ModelError, match="is left over"):
        convert(base, zoo.torch_modules(SMALL), _state(SMALL) | {"more.weight": np.zeros(3)})
    assert weights_digest(base) == before


def test_a_layer_of_another_network_is_named(build: Callable[..., Any]) -> None:
    with pytest.raises(ModelError, match="no module of torch is known for layer 'block1_conv'"):
        convert(build("custom_cnn"), zoo.torch_modules(SMALL), {})


def test_read_gives_named_tensors(torch: Any, tmp_path: Path) -> None:
    torch.save(
        {"a.weight": torch.nn.Parameter(torch.ones(2, 3)), "a.num_batches_tracked": torch.tensor(4)}, tmp_path / "x"
    )
    found = read(tmp_path / "x")
    assert {name: (value.shape, value.dtype.kind) for name, value in found.items()} == {
        "a.weight": ((2, 3), "f"),
        "a.num_batches_tracked": ((), "i"),
    }
