"""Numbers as they stand in sentences."""

from collections.abc import Sequence


def percent(share: float) -> str:
    """`93.1 %`."""
    return f"{100 * share:.1f} %"


def points(difference: float) -> str:
    """A difference of shares: `2.3 percentage points`."""
    size = f"{100 * abs(difference):.1f}"
    return f"{size} percentage point{'s' * (size != '1.0')}"


def duration(seconds: float) -> str:
    """`4.2 s`, `42 s`, `3 min 7 s` or `2 h 5 min`."""
    if seconds < 99.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


UNSURE = "show how far a latency may be off"  # what lines in figures do


def mega(number: float) -> str:
    """Millions with four digits: of FLOPs or MACs."""
    return f"{number / 1e6:,.0f}" if number >= 1e10 else f"{number / 1e6:.4g}"


def times(ratio: float) -> str:
    """`1.5 times`."""
    return f"{ratio:.1f} times" if ratio >= 0.95 else f"{ratio:.2f} times"


def counted(number: int, noun: str, more: str = "") -> str:
    """`1 trial`, `2,000 trials`; `more` is the plural where it is not the noun with an s."""
    return f"{number:,} {noun if number == 1 else more or noun + 's'}"


def listed(items: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(items[:-1]), items[-1]]) if len(items) > 1 else "".join(items)
