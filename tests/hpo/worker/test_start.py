"""What a linear head begins with."""

import dataclasses

import numpy as np
import pytest

from datasets.splits import Split
from hpo.worker.inputs import Sources
from hpo.worker.job import Job
from hpo.worker.session import current, prepare
from hpo.worker.start import chosen, first_head
from hpo.worker.training import learn
from tests import made

HEAD = made.candidate(keep_blocks=2)


@pytest.fixture
def begin(small, tmp_path):
    def begin(config=small, **changes):
        job = Job(config, "id", 0, dataclasses.replace(HEAD, **changes), prepare(config), tmp_path)
        return first_head(Sources(job, current()), lambda sign: None)

    return begin


def test_it_classifies_as_the_probe_of_its_features(begin, small, tmp_path):
    kernel, bias = begin()
    job = Job(small, "id", 0, HEAD, prepare(small), tmp_path)
    sources = Sources(job, current())
    train, val = (np.asarray(features.load(), "float32") for features in sources.features("pooled_e2"))
    assert kernel.shape == (train.shape[1], 10)
    right = np.mean((val @ kernel + bias).argmax(1) == sources.data.labels[sources.parts.val])
    assert right > 0.5
    (learned,) = learn([job], [None], 1, lambda sign: None, current())
    assert learned.curve[0].val_accuracy >= right - 0.1  # it begins there


@pytest.mark.parametrize(
    "changes",
    [{"keep_blocks": 0, "unfreeze_depth": 1}, {"head_width": 128}, {"pooling": "max"}, {"batch_norm_head": True}],
)
def test_elsewhere_it_begins_at_random(begin, changes):
    assert begin(**changes) is None


@pytest.mark.parametrize("options", [{"head_start": "random"}, {"weights": "none"}])
def test_so_it_does_where_that_is_asked_for_and_from_scratch(begin, small, options):
    assert begin(small.model_copy(update=options)) is None


def test_a_head_on_all_of_the_network_begins_with_its_probe(begin):
    kernel, _ = begin(keep_blocks=0)
    assert kernel.shape == (192, 10)


def test_a_fine_tune_of_a_shorter_network_begins_with_it(begin, small, tmp_path):
    """After no step at all it says what the probe says: one epoch at a rate of almost nothing."""
    quiet = dataclasses.replace(HEAD, unfreeze_depth=1, learning_rate=1e-9)
    job = Job(small, "id", 1, quiet, prepare(small), tmp_path)
    (tuned,) = learn([job], [None], 1, lambda sign: None, current())
    kernel, bias = begin(unfreeze_depth=1)
    sources = Sources(job, current())
    _, val = (np.asarray(features.load(), "float32") for features in sources.features("pooled_e2"))
    right = np.mean((val @ kernel + bias).argmax(1) == sources.data.labels[sources.parts.val])
    assert tuned.curve[0].val_accuracy == pytest.approx(right, abs=0.011)


def test_a_large_data_set_is_probed_on_a_stratified_part():
    labels = np.repeat([0, 1], [300, 100])
    split = Split(np.arange(0, 400, 2), np.arange(1, 400, 4))
    few = chosen(split, labels, 40, 0)
    assert set(few.train) < set(split.train) and set(few.val) < set(split.val)
    assert np.bincount(labels[few.train]).tolist() == [30, 10]
    assert chosen(split, labels, 200, 0).train is split.train
