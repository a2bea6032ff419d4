"""Texts that anyone may have given, for a line that people read."""


def printable(text: str) -> str:
    """One line without control characters and halves of letters, which file names may hold and no file takes."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
