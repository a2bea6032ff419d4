"""File names and numbers as they stand in one-line messages."""


def printable(text: object) -> str:
    """One line that any terminal takes: file names may hold line breaks and bytes that are no text."""
    return "".join(char if char.isprintable() else "?" for char in str(text))


def is_text(name: str) -> bool:
    """Whether a file's name can be kept and shown: old archives have names that are not UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def counted(number: int, noun: str) -> str:
    """`1 picture`, `2,000 pictures`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def first_names(names: list[str]) -> str:
    """The first three, and how many more there are."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(printable(name) for name in names[:3]) + more
