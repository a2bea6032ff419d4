"""What is searched: pretrained backbones, where they can be cut, and what they cost.

Nothing here imports anything else of the project. Keras is imported inside the functions that build
networks, so tables of names and numbers (`models.backbones`) can be read in milliseconds.
"""


class ModelError(ValueError):
    """A network or a weights file is not what was asked for. The message is one line for the user."""
