"""What is searched: pretrained backbones, where they can be cut, and what they cost.

Nothing here imports anything else of the project. Keras is imported inside the functions that build
networks, so tables of names and numbers (`models.backbones`) can be read in milliseconds.
"""

from pathlib import Path


class ModelError(ValueError):
    """A network or a weights file is not what was asked for. The message is one line for the user.

    Attributes:
        missing: the weights file that would help if it were there; None where none would.
    """

    def __init__(self, message: str, missing: "Path | None" = None):
        super().__init__(message)
        self.missing = missing  # pickled with the rest of its attributes
