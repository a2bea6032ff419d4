"""What a trial of a HyperModel decides."""

import json

import pytest

from models.candidate import Candidate, HyperCandidate, candidate_of

VALUES = (("layers", 2), ("rate", 0.00123456), ("dropout", True), ("kind", "mlp"))
CANDIDATE = HyperCandidate(backbone="lab.Net", values=VALUES)


def test_what_it_says_of_itself():
    assert CANDIDATE.describe() == "layers 2, rate 0.00123, dropout yes, kind mlp"
    assert CANDIDATE.settings() == dict(VALUES)
    assert HyperCandidate(backbone="lab.Net", values=()).describe() == "no hyperparameters"
    assert not CANDIDATE.joins_heads and not CANDIDATE.linear_probe


def test_it_is_read_back_as_it_was():
    assert candidate_of(json.loads(CANDIDATE.to_json())) == candidate_of(CANDIDATE.to_dict())
    read = candidate_of(CANDIDATE.to_dict())
    assert read == CANDIDATE and hash(read) == hash(CANDIDATE)


def test_the_other_kind_is_told_apart():
    ours = Candidate(backbone="vgg16", resolution=32, head_width=0, unfreeze_depth=0, dropout=0.0,
                     learning_rate=1e-3, lr_schedule="constant")  # fmt: skip
    assert candidate_of(ours.to_dict()) == ours


def test_equal_values_are_one_architecture():
    turned = HyperCandidate(backbone="lab.Net", values=tuple(reversed(VALUES)))
    assert turned.architecture_key() == CANDIDATE.architecture_key()
    assert turned.to_json() == CANDIDATE.to_json()
    other = HyperCandidate(backbone="lab.Net", values=(("layers", 3), *VALUES[1:]))
    assert other.architecture_key() != CANDIDATE.architecture_key()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"backbone": "a", "values": []}, "has a backbone and values"),
        ({"backbone": "a", "values": {}, "more": 1}, "has a backbone and values"),
        ({"backbone": "", "values": {}}, "backbone must be a name. Received: ''"),
        ({"backbone": "a", "values": {"b": None}}, "b must be true or false, a number or a text. Received: None"),
        ({"backbone": "a", "values": {"b": [1]}}, r"b must be true or false, a number or a text. Received: \[1\]"),
    ],
)
def test_what_is_none_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        candidate_of(values)
