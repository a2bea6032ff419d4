"""Mistakes of the user's."""


class BadInput(ValueError):
    """A user's mistake; the message is one line that names the field, what was received and what is allowed."""
