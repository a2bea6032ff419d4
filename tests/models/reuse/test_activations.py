"""models/reuse/activations.py: nothing is taken for something else, and float16 only where it can hold the values."""

import json
from dataclasses import asdict, fields, replace

import numpy as np
import pytest

from models.reuse.activations import ActivationStore, FeatureOverflow, Key
from models.reuse.store import TooLarge

KEY = Key("vgg19", "w" * 64, "block4_pool", 32, "caffe", "d" * 64, "train", "all", "", "float16")
SHAPE = (10, 2, 3)


def rows() -> np.ndarray:
    return np.arange(60, dtype=np.float32).reshape(SHAPE) / 7


def batches():
    return (rows()[first : first + 4] for first in range(0, 10, 4))


@pytest.fixture
def store(tmp_path) -> ActivationStore:
    return ActivationStore(tmp_path, 10_000)


def names(tmp_path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "prefix").iterdir())


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_batches_are_cast_to_the_dtype_of_the_key(store, tmp_path, dtype):
    key = replace(KEY, dtype=dtype)
    assert store.find(key) is None and not store.has(key)
    array = store.get(key, SHAPE, batches)
    assert isinstance(array, np.memmap) and array.dtype == np.dtype(dtype)
    assert array.tobytes() == store.find(key).tobytes() == rows().astype(dtype).tobytes()
    assert store.has(key) and store.room() == 10_000
    (path,) = (tmp_path / "prefix").glob("*.json")
    assert json.loads(path.read_text())["key"] == asdict(key)


def test_an_entry_of_version_0_1_is_found(store, tmp_path):
    name = "d01fc6a1104f0efd7c09aa683cca59d6c305159747c618898324a5dfc70f7542"
    sha256 = "37f57bd3459cdaf7a37797fdfa044301355c7eaf4c4c1dcfa06bbab42f379481"
    record = {"format": 2, "key": asdict(KEY), "shape": [10, 2, 3], "dtype": "float16", "sha256": sha256}
    (tmp_path / "prefix").mkdir()
    np.save(tmp_path / "prefix" / f"{name}.npy", rows().astype("float16"))
    (tmp_path / "prefix" / f"{name}.json").write_text(json.dumps(record, indent=1))
    assert KEY.digest() == name
    assert store.has(KEY) and store.find(KEY).tobytes() == rows().astype("float16").tobytes()


def test_too_large_says_where(tmp_path):
    with pytest.raises(TooLarge, match=r"activations at block4_pool take 0\.0 MiB; the limit is 0\.0 MiB"):
        ActivationStore(tmp_path, 10).get(KEY, SHAPE, batches)


def test_every_field_is_part_of_the_identity(store):
    names_of_texts = [field.name for field in fields(Key) if field.name not in ("resolution", "dtype")]
    others = [replace(KEY, **{name: "other"}) for name in names_of_texts]
    others += [replace(KEY, resolution=33), replace(KEY, dtype="float32")]
    assert len(others) == len(fields(Key))
    assert len({one.digest() for one in [KEY, *others]}) == len(others) + 1
    assert KEY.digest() == replace(KEY).digest() and len(KEY.digest()) == 64
    store.get(KEY, SHAPE, batches)
    assert not any(store.has(other) or store.find(other) is not None for other in others)


@pytest.mark.parametrize("wrong", [{"dtype": "float64"}, {"resolution": "32"}, {"resolution": None}, {"cut": 3}])
def test_a_key_of_the_wrong_kind_is_refused(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} .*Received: "):
        replace(KEY, **wrong)


@pytest.mark.parametrize(("value", "shown"), [(65520, "65520"), (-1e9, "1e+09"), (np.inf, "inf"), (np.nan, "nan")])
def test_what_float16_cannot_hold_is_said_and_float32_holds_it(store, tmp_path, value, shown):
    given = rows()
    given[7, 1, 1] = value
    with pytest.raises(FeatureOverflow) as raised:
        store.get(KEY, SHAPE, lambda: iter([given]))
    assert str(raised.value) == f"activations at block4_pool reach {shown}: float16 ends at 65504"
    assert names(tmp_path) == []
    wide = store.get(replace(KEY, dtype="float32"), SHAPE, lambda: iter([given]))
    assert wide.tobytes() == given.tobytes()


def test_the_largest_float16_is_kept(store):
    assert store.get(KEY, (1, 1), lambda: iter([np.array([[65504.0]])]))[0, 0] == 65504


def test_a_producer_is_closed_when_its_batches_are_refused(store):
    closed = []

    def produce():
        try:
            yield np.full((4, 2, 3), 1e6)
            pytest.fail("asked for more")
        finally:
            closed.append(True)

    with pytest.raises(FeatureOverflow) as raised:
        store.get(KEY, SHAPE, produce)
    assert raised.traceback and closed == [True]


def test_values_too_small_for_float16_are_refused(tmp_path):
    """Features of a deep network with random weights may be 1e-6: float16 would leave two or three digits of them."""
    store, rng = ActivationStore(tmp_path, 2**30), np.random.default_rng(0)
    for scale, fits in ((1.0, True), (1e-2, True), (1e-4, True), (1e-5, False), (1e-8, False), (1e-40, False)):
        key = replace(KEY, view=str(scale))
        values = np.maximum(rng.normal(0, scale, (10, 2, 3000)), 0).astype("float32")
        if fits:
            found = store.get(key, values.shape, lambda v=values: iter([v]))
            np.testing.assert_allclose(found, values, rtol=2**-11, atol=2**-25)  # half a unit in the last place
        else:
            with pytest.raises(FeatureOverflow, match="float16 would spoil values so small"):
                store.get(key, values.shape, lambda v=values: iter([v]))
            assert not store.has(key)
