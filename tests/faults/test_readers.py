"""Whatever lies in a file or an attribute, its reader ends in a value or in one of our errors.

Files that are almost right (one field of another type, one missing, one too many) come as often as nonsense.
"""

import contextlib
import json
import struct
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from datasets import DataError
from datasets.decoding import UnreadableError, decode
from datasets.registry import open_dataset
from hpo.config import StudyConfig, load_preset, restore_config
from hpo.errors import MISTAKES
from hpo.worker import checkpoints, heartbeat
from hpo.worker.memory import Memory
from models.candidate import Candidate
from models.catalogue import BACKBONES
from models.reuse.entry import Record, read_record
from models.reuse.store import Store, picture_store
from models.training.recipe import Epoch
from models.weights.hdf5 import check_file
from studies import attributes, strict
from studies.finals import FinalRun, read_runs
from studies.fingerprint import fingerprint_of
from studies.forms import digest_of, read_forms
from studies.latencies import Latencies, latencies_of
from studies.outcomes import Outcome
from studies.paths import StudyFiles
from studies.probes import Map, map_of
from studies.records import TrialRecord, read_trial
from studies.remains import Remains
from studies.scores import score
from tests import made
from tests.faults.mutation import JSON, almost

FEW = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
CANDIDATE = made.candidate(unfreeze_depth=1, head_width=64, dropout=0.2, lr_schedule="cosine")
CURVE = [{"epoch": 1, "loss": 0.7, "accuracy": 0.5, "val_loss": 0.6, "val_accuracy": 0.5, "seconds": 1.0}]
OUTCOME = Outcome(
    study_id="s", number=3, candidate=CANDIDATE, measurement=made.measurement(), trainable_parameters=5,
    val_accuracy=0.5, best_epoch=1, constraints={"latency_budget": -1.0}, curve=CURVE, seconds={"train": 1.0},
    peak_memory_mib=1.0, seed=1, machine={"device": "test"}, plan="all",
)  # fmt: skip


def final_run() -> FinalRun:
    probabilities, labels = np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 1])
    return FinalRun(
        study_id="s", label="3", seed=0, candidate=CANDIDATE, epochs=2, n_train=100, curve=CURVE,
        scores=score(probabilities, labels), costs=made.final_costs(), model_bytes=1000, seconds={"train": 1.0},
        peak_memory_mib=1.0, machine={"device": "test"}, shape=(8, 8, 1), class_names=("a", "b"),
    )  # fmt: skip


RUN = final_run()
MAP = made.network_map(made.probe(4, 32, 0.4), made.probe(0, 32, 0.5))


@dataclass(frozen=True)
class Reader:
    """What reads a text, a valid one as JSON, and what it may raise."""

    valid: Any
    read: Callable[[str, Path], Any]
    errors: tuple[type[Exception], ...] = ()


def file_in(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    return path


def runs_in(text: str, folder: Path) -> list[FinalRun]:
    files = StudyFiles(folder)
    file_in(folder, str(files.run("3", 0).result.relative_to(folder)), text)
    return read_runs(files, "s")


def remembered(text: str, folder: Path) -> Any:
    memory = Memory(folder, {"cpu": "x"})
    memory.remember("a", {})
    (path,) = (folder / "latency").iterdir()
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    return memory.recall("a")


REMEMBERED = {
    "identity": {"architecture": "a", "machine": {"cpu": "x"}},
    "known": {"latency": strict.to_values(made.deployed_latency()), "cost": [1, 2, 3], "times": 1},
}
READERS = {
    "outcome": Reader(strict.to_values(OUTCOME), lambda text, _: Outcome.from_json(text), (ValueError,)),
    "final run": Reader(strict.to_values(RUN), lambda text, _: FinalRun.from_json(text), (ValueError,)),
    "final runs": Reader(strict.to_values(RUN), runs_in),
    "candidate": Reader(CANDIDATE.to_dict(), lambda text, _: Candidate.from_json(text), (ValueError,)),
    "side of a map": Reader(strict.to_values(MAP), lambda text, _: strict.from_json(Map, text), (ValueError,)),
    "remains": Reader(
        {"study_id": "s", "fingerprint": made.fingerprint().to_dict()},
        lambda text, _: strict.from_json(Remains, text),
        (ValueError,),
    ),
    "forms": Reader(
        [strict.to_values(made.form(study_id="s", label="3", run=digest_of(RUN)))],
        lambda text, folder: read_forms(file_in(folder, "exports.json", text), RUN),
    ),
    "sign of life": Reader(
        {"phase": "training", "epoch": 1, "share": 0.5},
        lambda text, folder: heartbeat.last_sign(file_in(folder, "x.progress", text)),
    ),
    "remembered latency": Reader(REMEMBERED, remembered),
    "record of an entry": Reader(
        json.loads(Record({"cut": "x"}, (4, 2), "float32", "0" * 64, {"labels": [1]}).to_json()),
        lambda text, folder: read_record(file_in(folder, "x.json", text)),
    ),
}


@pytest.mark.parametrize("name", READERS)
def test_a_valid_text_is_read(name, tmp_path):
    reader = READERS[name]
    assert reader.read(json.dumps(reader.valid), tmp_path)


@pytest.mark.parametrize("name", READERS)
@FEW
@given(data=st.data())
def test_any_text_is_a_value_or_one_of_our_errors(name, data):
    reader = READERS[name]
    value = data.draw(almost(reader.valid))
    text = data.draw(st.sampled_from([json.dumps(value), json.dumps(value)[:-1], json.dumps([[value] * 2] * 2)]))
    with tempfile.TemporaryDirectory() as folder:
        try:
            reader.read(text, Path(folder))
        except reader.errors as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize("name", READERS)
def test_so_is_what_is_nested_too_deeply(name, tmp_path):
    with contextlib.suppress(*READERS[name].errors):
        READERS[name].read("[" * 100_000 + "]" * 100_000, tmp_path)


ATTRIBUTES = {
    attributes.FINGERPRINT: (made.fingerprint().to_dict(), fingerprint_of),
    attributes.MAP: (strict.to_values(MAP), map_of),
    attributes.LATENCIES: (strict.to_values(Latencies({"a": made.latency()}, ("a",))), latencies_of),
    attributes.OPTIONS: (
        StudyConfig().model_dump(mode="json"),
        lambda study: restore_config(study.user_attrs[attributes.OPTIONS], "s", {}),
    ),
}


@pytest.mark.parametrize("name", ATTRIBUTES)
@FEW
@given(data=st.data())
def test_any_attribute_of_a_study_is_a_value_or_one_of_our_errors(name, data):
    valid, read = ATTRIBUTES[name]
    value = data.draw(almost(valid))
    study = optuna.create_study()
    study.set_user_attr(name, json.loads(json.dumps(value)))  # as the database gives it
    try:
        read(study)
    except MISTAKES as error:
        assert "\n" not in str(error)


@FEW
@given(data=st.data(), values=st.lists(st.floats() | st.integers(), min_size=3, max_size=3))
def test_a_trial_with_any_attributes_is_a_record(data, values):
    valid = json.loads(json.dumps(OUTCOME.user_attrs()))
    kept = data.draw(almost(valid))
    trial = optuna.trial.create_trial(
        values=[0.5 if value != value else float(value) for value in values],
        user_attrs=json.loads(json.dumps(kept)) if isinstance(kept, dict) else {"candidate": kept},
    )
    assert isinstance(read_trial(trial), TrialRecord)


@FEW
@given(text=st.text(max_size=60) | JSON.map(lambda value: f"trials = {json.dumps(value)}\n"))
def test_any_preset_is_a_value_or_one_of_our_errors(text):
    with tempfile.TemporaryDirectory() as folder:
        path = file_in(Path(folder), "mine.toml", text)
        with contextlib.suppress(*MISTAKES):
            StudyConfig(**load_preset(str(path)))


def spoiled(whole: bytes) -> st.SearchStrategy[bytes]:
    """Cut off, changed in one to twenty places, lengthened, or any bytes at all."""

    def change(places: list[tuple[int, int]]) -> bytes:
        content = bytearray(whole)
        for place, value in places:
            content[place % len(content)] = value
        return bytes(content)

    places = st.lists(st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 255)), min_size=1, max_size=20)
    cut = st.integers(0, len(whole)).map(lambda size: whole[:size])
    return places.map(change) | cut | st.binary(max_size=40).map(lambda more: whole + more) | st.binary(max_size=200)


def picture(kind: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"x.{kind}"
        pixels = np.arange(12 * 10 * 3, dtype=np.uint8).reshape(12, 10, 3)
        Image.fromarray(pixels).save(path)
        return path.read_bytes()


@pytest.mark.parametrize("kind", ["png", "jpg", "bmp", "gif"])
@FEW
@given(data=st.data())
def test_any_bytes_are_a_picture_or_unreadable(kind, data):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"x.{kind}"
        path.write_bytes(data.draw(spoiled(picture(kind))))
        try:
            assert decode(path, 8).shape == (8, 8, 3)
        except UnreadableError as error:
            assert "\n" not in str(error)


def mnist(folder: Path) -> Path:
    rng, path = np.random.default_rng(0), folder / "mnist.npz"
    images, labels = rng.integers(0, 255, (40, 28, 28), np.uint8), np.arange(40) % 10
    np.savez(path, x_train=images, y_train=labels, x_test=images[:10], y_test=labels[:10])
    return path


@FEW
@given(data=st.data(), near_header=st.booleans())
def test_any_bytes_are_a_data_set_or_one_of_our_errors(data, near_header):
    with tempfile.TemporaryDirectory() as folder:
        path = mnist(Path(folder))
        content = path.read_bytes()
        if near_header:  # of the first member, where shape and type are
            head = data.draw(spoiled(content[:200]))
            path.write_bytes(head + content[200:])
        else:
            path.write_bytes(data.draw(spoiled(content)))
        try:
            found = open_dataset("mnist", Path(folder), picture_store(Path(folder) / "cache"), None)
            assert found.images.dtype == np.uint8 and len(found.images) == len(found.labels)
        except DataError as error:
            assert "\n" not in str(error)


@FEW
@given(data=st.data())
def test_any_bytes_are_a_checkpoint_or_none(data):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.npz"
        checkpoints.save(path, checkpoints.Checkpoint([np.ones(4)], (Epoch(1, 0.1, 0.2, 0.3, 0.4, 0.5),)))
        whole = path.read_bytes()
        spoilt = data.draw(spoiled(whole))
        path.write_bytes(spoilt)
        found = checkpoints.load(path)
        assert (found is not None) == (spoilt == whole)


@FEW
@given(data=st.data(), kind=st.sampled_from(["npy", "json"]))
def test_any_bytes_are_an_entry_or_computed_again(data, kind):
    with tempfile.TemporaryDirectory() as folder:
        store, key = Store(Path(folder)), {"cut": "x"}

        def get() -> np.ndarray:
            return np.array(store.get(key, (4, 2), "float32", lambda: iter([np.ones((4, 2), "float32")]), "x").array)

        get()
        (path,) = Path(folder).glob(f"*.{kind}")
        path.write_bytes(data.draw(spoiled(path.read_bytes())))
        assert (get() == 1).all()


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A network and the bytes of its own file."""
    from models.build import Task, build_base
    from models.weights.loading import save_backbone_weights

    base = build_base(Task(16, 16, 3, 2, "none"), "custom_cnn", 16)
    path = tmp_path_factory.mktemp("weights") / "own.weights.h5"
    save_backbone_weights(base, BACKBONES["custom_cnn"], path, {})
    return base, path.read_bytes()


@settings(FEW, max_examples=40)
@given(data=st.data())
def test_any_bytes_are_weights_or_one_of_our_errors(weights, data):
    from models import ModelError

    base, whole = weights
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.weights.h5"
        path.write_bytes(data.draw(spoiled(whole) | spoiled(whole[:4096]).map(lambda head: head + whole[4096:])))
        try:
            check_file(base, BACKBONES["custom_cnn"], path)
        except ModelError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize("attribute", ["backbone", "layer_names", "weight_names"])
@pytest.mark.parametrize("value", [[1, 2], [b"\xff\xfe"], b"x", 3.5, [[b"a"]]], ids=str)
def test_attributes_of_older_weights_may_be_anything(weights, tmp_path, attribute, value):
    import h5py

    from models import ModelError

    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"conv"]
        file.create_group("conv").attrs["weight_names"] = [b"kernel"]
        (file["conv"] if attribute == "weight_names" else file).attrs[attribute] = value
    with pytest.raises(ModelError) as caught:
        check_file(weights[0], BACKBONES["custom_cnn"], path)
    assert "\n" not in str(caught.value)


def test_a_zip_bomb_is_no_data_set(tmp_path):
    """A header that claims more rows than any memory holds, over few bytes."""
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (4000000000, 28, 28), }"
    header += b" " * (118 - len(header) - 1) + b"\n"
    member = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + b"\0" * 100
    path = mnist(tmp_path)
    with np.load(path) as whole:
        rest = {name: whole[name] for name in whole.files if name != "x_train"}
    np.savez(path, **rest)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("x_train.npy", member)
    with pytest.raises(DataError):
        open_dataset("mnist", tmp_path, picture_store(tmp_path / "cache"), None)
