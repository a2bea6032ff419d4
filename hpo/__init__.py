"""The search: configuration, space, workers, evaluation and the loop that asks and tells."""


class BadInput(ValueError):
    """A user's mistake; the message is one line that names the field, what was received and what is allowed."""
