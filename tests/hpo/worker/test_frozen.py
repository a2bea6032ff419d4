"""Stored features behind what a HyperModel froze."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from hpo.config import make_config
from hpo.worker.frozen import Frozen
from hpo.worker.job import Job
from hpo.worker.session import current, prepare
from models.build import build_hyper
from models.candidate import HyperCandidate
from models.own.hyper_prefix import Prefix, find_prefix
from models.own.registry import named
from tests import hypermodels


@pytest.fixture
def there(tmp_path: Path) -> tuple[Frozen, Prefix, np.ndarray]:
    own = named(f"{hypermodels.__file__}:Frozen", hypermodel=True)
    config = make_config({"backbone": own, "dataset": "digits", "cache_dir": tmp_path, "latency_runtime": "keras"})
    candidate = HyperCandidate(backbone=own, values=(("trainable", False),))
    job = Job(config, "id", 0, candidate, prepare(config), tmp_path)
    prefix = find_prefix(build_hyper(candidate, current().task(job), 0))
    assert prefix is not None
    data = current().data(config, job.side)
    return Frozen(job, prefix, data, lambda sign: None), prefix, data.images


def test_features_are_those_of_the_rows(there: tuple[Frozen, Prefix, np.ndarray]) -> None:
    store, prefix, images = there
    rows = np.arange(5, 300, 2)
    features = store.load(rows)
    assert features.dtype == np.float16
    expected = keras.ops.convert_to_numpy(prefix.base(images[rows]))
    np.testing.assert_allclose(features, expected, rtol=2e-3, atol=1e-3)
    assert isinstance(store.load(rows), np.memmap)
    assert store.load(rows[:0]).shape == (0, 64)


def test_it_is_stored_where_that_pays(there: tuple[Frozen, Prefix, np.ndarray]) -> None:
    store, _, _ = there
    assert store.plan(1000, 200).store
