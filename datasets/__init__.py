"""Data sets: what there is, how it is read, how it is split. Nothing here imports the rest of the project."""


class DataError(ValueError):
    """A user's data or data option cannot be used. The message is one line."""
