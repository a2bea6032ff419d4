"""Strategies: any JSON, and JSON that is almost what it should be."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import strategies as st

NUMBERS = st.integers() | st.floats() | st.sampled_from([0, -1, 1e308, 2**63])
TEXTS = st.text(max_size=20) | st.sampled_from(["", "../../x", "=1+1", "\x1b[31m", "nan", "0" * 64])
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container inside with each of its keys."""
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])


@st.composite
def almost(draw: Callable[[Any], Any], valid: Any) -> Any:
    """The valid value with one to three things inside it replaced, taken away or added; or any JSON at all."""
    if draw(st.integers(0, 9)) == 0:
        return draw(JSON)
    value = copy.deepcopy(valid)
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(value))
        if not places:
            return draw(JSON)
        container, key = draw(st.sampled_from(places))
        what = draw(st.sampled_from(["replace", "replace", "delete", "add"]))
        if what == "replace":
            container[key] = draw(JSON)
        elif what == "delete":
            del container[key]
        elif isinstance(container, dict):
            container[draw(TEXTS)] = draw(JSON)
        else:
            container.append(draw(JSON))
    return value
