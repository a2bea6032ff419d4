"""JSON both ways: what is not as the type says is refused, in one line that names it."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest
from pydantic import with_config

from studies import strict


@with_config(strict.STRICT)
@dataclass(frozen=True)
class Inner:
    share: float
    names: Sequence[str] = ()


@with_config(strict.STRICT)
@dataclass(frozen=True)
class Outer:
    count: int
    inner: Inner
    seconds: Mapping[str, float]
    note: str | None = None


ONE = Outer(3, Inner(0.5, ["a", "b"]), {"train": 1.5})
TEXT = """{
 "count": 3,
 "inner": {
  "share": 0.5,
  "names": [
   "a",
   "b"
  ]
 },
 "seconds": {
  "train": 1.5
 },
 "note": null
}"""


def test_there_and_back():
    assert strict.to_json(ONE) == TEXT
    assert strict.from_json(Outer, TEXT) == ONE
    assert strict.from_values(Outer, strict.to_values(ONE)) == ONE
    assert strict.from_values(Inner, {"share": 1}) == Inner(1.0)  # defaults may be missing, integers are numbers


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"count": "3"}, "Outer.count: input should be a valid integer"),
        ({"count": 3.5}, "Outer.count: input should be a valid integer"),
        ({"count": True}, "Outer.count: input should be a valid integer"),
        ({"inner": {"share": "half"}}, "Outer.inner.share: input should be a valid number"),
        ({"inner": {"share": 0.5, "more": 1}}, "Outer.inner.more: unexpected keyword argument"),
        ({"seconds": {"train": None}}, "Outer.seconds.train: input should be a valid number"),
        ({"extra": 1}, "Outer.extra: unexpected keyword argument"),
    ],
)
def test_what_is_not_as_the_type_says_is_refused(change, said):
    with pytest.raises(ValueError, match=said) as refusal:
        strict.from_values(Outer, strict.to_values(ONE) | change)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"count": 3}', "null"])
def test_what_is_no_such_record_is_refused(text):
    with pytest.raises(ValueError, match="^Outer"):
        strict.from_json(Outer, text)


def test_a_loss_may_be_infinite():
    diverged = dataclasses.replace(ONE, inner=Inner(math.inf, []), seconds={"train": math.inf})
    text = strict.to_json(diverged)
    assert text.count("Infinity") == 2
    assert strict.from_json(Outer, text) == diverged
