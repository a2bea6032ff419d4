"""What a worker brings back: as JSON, strictly, and as the attributes of a trial."""

import dataclasses
import json

import pytest

from studies.outcomes import DeployedLatency, Failure, Latency, Outcome
from tests import made

CANDIDATE = made.candidate(unfreeze_depth=1, head_width=128, dropout=0.25, lr_schedule="cosine", resolution=32)
MEASUREMENT = made.measurement(1.5, 1000)


def outcome(**changes):
    values = {
        "study_id": "abc",
        "number": 3,
        "candidate": CANDIDATE,
        "measurement": MEASUREMENT,
        "trainable_parameters": 99,
        "val_accuracy": 0.75,
        "best_epoch": 2,
        "constraints": {},
        "curve": [{"epoch": 1, "val_accuracy": 0.5}, {"epoch": 2, "val_accuracy": 0.75}],
        "seconds": {"measure": 1.5, "train": 2.0},
        "peak_memory_mib": 512.0,
        "seed": 17,
        "machine": {"device": "cpu"},
        "plan": "pooled features stored",
    }
    return Outcome(**values | changes)


def test_outcome_json_there_and_back():
    for one in (outcome(), outcome(stopped="at epoch 2")):
        assert Outcome.from_json(one.to_json()) == one


def test_values_stand_in_the_order_of_the_objectives():
    assert outcome().values() == (0.75, 1.5, 1000.0)


@pytest.mark.parametrize(
    ("constraints", "feasible"),
    [({}, True), ({"max_latency_ms": 0.0}, True), ({"max_latency_ms": -1.0, "max_gflops": 0.1}, False)],
)
def test_feasible_means_at_or_below_every_limit(constraints, feasible):
    assert outcome(constraints=constraints).feasible is feasible


# As version 0.1 wrote it.
FILE = """{
 "study_id": "abc",
 "number": 0,
 "candidate": {
  "backbone": "custom_cnn",
  "unfreeze_depth": 0,
  "head_width": 0,
  "dropout": 0.2,
  "learning_rate": 0.003,
  "lr_schedule": "cosine",
  "resolution": 24,
  "optimizer": "adam",
  "weight_decay": 0.0,
  "label_smoothing": 0.0,
  "pooling": "average",
  "batch_norm_head": false,
  "batch_size": 32,
  "augmentation": "none",
  "strategy": "plain"
 },
 "measurement": {
  "latency_ms": 0.819,
  "latency": {
   "median_ms": 0.819,
   "p10_ms": 0.678,
   "p90_ms": 1.046,
   "p99_ms": 1.645,
   "runs": 500,
   "batch_size": 1,
   "device": "a CPU",
   "backend": "tensorflow",
   "dtype": "float32"
  },
  "macs": 7798656,
  "flops": 15597312,
  "other_flops": 143612,
  "parameters": 317802
 },
 "trainable_parameters": 1930,
 "val_accuracy": 0.15,
 "best_epoch": 1,
 "constraints": {},
 "curve": [
  {
   "epoch": 1,
   "loss": 2.3745,
   "accuracy": 0.0667,
   "val_loss": Infinity,
   "val_accuracy": 0.15,
   "learning_rate": 2.88e-05
  }
 ],
 "seconds": {
  "measure": 1.1683,
  "train": 0.0032
 },
 "peak_memory_mib": 807.8,
 "seed": 0,
 "machine": {
  "backend": "tensorflow",
  "versions": {
   "keras": "3.15.1"
  },
  "latency_protocol": 2
 },
 "plan": "pooled features stored",
 "stopped": ""
}"""


def test_a_file_of_the_version_before_is_read_and_written_alike():
    assert Outcome.from_json(FILE).to_json() == FILE


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("number",), "0", "Outcome.number: input should be a valid integer"),
        (
            ("measurement", "latency", "runs"),
            None,
            "Outcome.measurement.latency.[A-Za-z]+.runs: input should be a valid integer",
        ),
        (("measurement", "more"), 1, "Outcome.measurement.more: unexpected keyword argument"),
        (("candidate", "dropout"), 2, "Outcome.candidate: value error, dropout must be at least 0 and below 1"),
        (("curve",), [{"epoch": "one"}], "Outcome.curve.0.epoch"),
        (("command",), "rm", "Outcome.command: unexpected keyword argument"),
    ],
)
def test_foreign_results_are_refused(path, value, said):
    values = json.loads(FILE)
    place = values
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    with pytest.raises(ValueError, match=f"^{said}"):
        Outcome.from_json(json.dumps(values))


def test_latency_is_what_models_measure():
    from models.latency import call, deployed

    for theirs, ours in ((call.Latency, Latency), (deployed.DeployedLatency, DeployedLatency)):
        assert [(one.name, one.type) for one in dataclasses.fields(theirs)] == [
            (one.name, one.type.__name__) for one in dataclasses.fields(ours)
        ]


def test_a_failure_leaves_what_it_knows():
    known = Failure("non-finite loss", "epoch 2", seed=7, seconds={"train": 1.5}, curve=[{"epoch": 1, "loss": 2.0}])
    assert known.user_attrs() == {
        "failure": {"kind": "non-finite loss", "reason": "epoch 2"},
        "seed": 7,
        "seconds": {"train": 1.5},
        "learning_curve": [{"epoch": 1, "loss": 2.0}],
    }


@pytest.mark.parametrize("slow", [made.latency(10.6, p10_ms=10.5, p90_ms=60.0), made.deployed_latency(10.6, high=35.3)])
def test_a_latency_is_never_below_nothing(slow):
    assert (slow.low, slow.high) == (0.0, pytest.approx(35.3, abs=0.1))
    assert made.latency(1.0).low == pytest.approx(0.85)
