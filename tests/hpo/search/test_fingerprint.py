"""What tells studies apart, and what does not."""

import dataclasses
import json

import optuna
import pytest

from hpo.config import Role, StudyConfig, meta
from hpo.search.fingerprint import as_begun, fingerprint
from hpo.search.space import make_space
from studies.attributes import FINGERPRINT
from studies.errors import StudyRefused
from studies.fingerprint import Fingerprint
from studies.storage import load_study
from tests.hpo.conftest import fake_facts


def marks(config):
    facts = fake_facts(config)
    return fingerprint(config, facts, make_space(config, facts.stages, facts.resolutions)).to_dict()


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        ({}, {"stopping": "dominance"}, {"stopping", "reduction_factor"}),
        ({"stopping": "moasha"}, {"stopping": "dominance"}, {"stopping"}),
        ({"stopping": "dominance"}, {"stopping": "dominance", "reduction_factor": 3}, {"reduction_factor"}),
        ({}, {"reduction_factor": 3}, set()),  # nothing is stopped
        ({}, {"augment": "light"}, {"space", "views"}),
        ({"augment": "light"}, {"augment": "light", "views": 2}, {"views"}),
        ({}, {"views": 2}, set()),  # nothing is augmented
        ({}, {"cache_dtype": "float32"}, {"cache_dtype"}),
        ({}, {"max_gflops": 1.0}, {"max_gflops"}),
        ({}, {"seed": 1}, {"seed"}),
        ({}, {"resolutions": (16,)}, {"space"}),
        ({}, {"heads": 1, "workers": 3, "cache_gib": 0, "trials": 99, "sampler": "random"}, set()),
    ],
)
def test_what_tells_studies_apart(configure, before, after, changed):
    then, now = marks(configure(**before)), marks(configure(**after))
    assert {name for name in {**then, **now} if then.get(name) != now.get(name)} == changed
    json.dumps(then)


# For each field of the configuration another value, and what that changes in the fingerprint. Nothing, deliberately:
# how much is searched and how fast, where things lie, what of the machine is used. Which device was found is in the
# fingerprint, whatever `device` asks for; a sampler proposes candidates and changes none of their numbers.
CHANGES = {
    "backbone": ("vgg16", {"backbone"}),
    "dataset": ("mnist", {"dataset", "dataset_digest", "decoded"}),
    "data_dir": (".", set()),
    "skip_unreadable": (True, {"dataset_digest"}),
    "decode": ("largest", {"decoded"}),
    "follow_links": (True, set()),
    "weights": ("none", {"weights", "space", "head_start"}),
    "trials": (3, set()),
    "timeout": (9.0, set()),
    "epochs": (5, {"epochs"}),
    "batch_size": (64, {"space"}),
    "train_size": (50, {"train_size", "split"}),
    "val_size": (10, {"val_size", "split"}),
    "resolutions": ((32, 48), {"space"}),
    "max_latency_ms": (3.0, {"max_latency_ms"}),
    "max_gflops": (1.0, {"max_gflops"}),
    "stopping": ("moasha", {"stopping"}),
    "reduction_factor": (3, {"reduction_factor"}),
    "heads": (1, set()),
    "augment": ("strong", {"space"}),
    "views": (2, {"views"}),
    "strategy": ("plain,progressive", {"space"}),
    "search": ("pooling", {"space"}),
    "keep": ("full", {"space"}),
    "head_start": ("random", {"head_start"}),
    "rates": ("one", {"space"}),
    "no_map": (False, set()),
    "map_size": (100, set()),
    "sampler": ("random", set()),
    "seed": (1, {"seed", "split"}),
    "study": ("mine", set()),
    "storage": ("sqlite:///other.db", set()),
    "out": ("elsewhere", set()),
    "cache_dir": ("elsewhere", set()),
    "cache_gib": (0, set()),
    "cache_dtype": ("float32", {"cache_dtype"}),
    "executor": ("ray", set()),
    "address": ("auto", set()),
    "workers": (3, set()),
    "gpus_per_worker": (0.5, set()),
    "cpus_per_worker": (4, set()),
    "latency_node": ("a", set()),
    "device": ("cpu", set()),
    "latency_runtime": ("onnx", {"latency_runtime"}),
    "latency_threads": (2, {"latency_threads"}),
    "stall_timeout": (9.0, set()),
}


def found(config):
    """The facts as far as they follow from the configuration: what a worker looks up, in words."""
    facts = fake_facts(config)
    measured_in = {"latency_runtime": config.latency_runtime, "latency_threads": config.latency_threads}
    return dataclasses.replace(
        facts,
        machine=facts.machine | measured_in,
        dataset=config.dataset,
        dataset_digest=f"{config.dataset} {config.skip_unreadable}",
        weights_digest=config.weights,
        n_train=config.train_size or 100,
        n_val=config.val_size or 20,
        split_digest=f"{config.seed} {config.train_size} {config.val_size}",
    )


def test_every_field_is_in_the_table():
    assert list(CHANGES) == list(StudyConfig.model_fields)


@pytest.mark.parametrize("name", CHANGES)
def test_every_field_is_in_the_fingerprint_or_deliberately_not(configure, name, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)  # Ray may not be installed
    value, expected = CHANGES[name]
    base = {"backbone": "vgg19", "augment": "light", "stopping": "dominance", "resolutions": (32,)}
    base |= {"latency_runtime": "litert", "dataset": str(tmp_path)}
    base |= {"workers": 2} if name == "executor" else {"workers": 2, "executor": "ray"}
    marks = []
    for config in (configure(**base), configure(**base | {name: value})):
        facts = found(config)
        marks.append(fingerprint(config, facts, make_space(config, facts.stages, facts.resolutions)).to_dict())
    then, now = marks
    assert {key for key in {**then, **now} if then.get(key) != now.get(key)} == expected
    assert (meta(name, "role") == Role.IDENTITY) == bool(expected)


def test_a_study_from_before_networks_could_end_elsewhere_goes_on_so(configure, fakes):
    config = configure(keep="full", trials=1)
    fakes.run(config)
    records = fakes.run(configure(trials=2))  # as anybody types it, without --keep
    assert [record.candidate.keep_blocks for record in records if record.counts] == [0, 0]
    with pytest.raises(StudyRefused, match=r"space.keep_blocks \(None then, \[1, 4\] now\)"):
        fakes.run(configure(keep="search", trials=2))
    other = fakes.run(configure(trials=1, study="new"))
    assert other and "keep_blocks" in load_study(config.storage, "new").user_attrs["fingerprint"]["space"]


@pytest.mark.parametrize(("keep", "expected"), [("search", "before projections"), ("full", None)])
def test_where_networks_end_tells_studies_apart_that_search_it(configure, keep, expected):
    config = configure(keep=keep)
    facts = dataclasses.replace(fake_facts(config), ends="before projections")
    mark = fingerprint(config, facts, make_space(config, facts.stages, facts.resolutions))
    assert mark.ends == mark.to_dict().get("ends") == expected
    assert Fingerprint.from_dict(mark.to_dict()) == mark


def test_a_study_goes_on_as_it_was_begun(tmp_path):
    """With what has become the default since only if its fingerprint has it, or if it is asked for."""

    def went_on(space, **options):
        storage = optuna.storages.InMemoryStorage()
        config = StudyConfig(**{"backbone": "vgg19", "study": "s", "dataset": str(tmp_path), **options})
        assert as_begun(config, storage) == config
        optuna.create_study(study_name="s", storage=storage).set_user_attr(FINGERPRINT, space)
        found = as_begun(config, storage)
        return found.keep, found.head_start, found.rates, found.decode

    old = {"space": {"learning_rate": [1e-5, 1e-2]}}
    assert went_on(old) == ("full", "random", "one", "largest")
    assert went_on(old, rates="parts", keep="search") == ("search", "random", "parts", "largest")
    assert went_on(old, dataset="mnist")[-1] == "auto"  # nothing of it is decoded
    now = {"head_start": "probe", "space": {"keep_blocks": [1, 16], "fine_tuning_learning_rate": [1e-5, 2e-3]}}
    assert went_on(now | {"decoded": "network"}) == ("auto", "auto", "auto", "auto")
