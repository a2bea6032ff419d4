"""What a final model says of pictures, as a file."""

from collections.abc import Sequence

import numpy as np

from studies.tables import table


def to_csv(names: Sequence[object], class_names: Sequence[str], shares: np.ndarray) -> str:
    """A row for each picture: its name, the class, the probability of that class, and that of each class."""
    heads = ["picture", "class", "probability", *(f"p({name})" for name in class_names)]
    rows = (
        [name, class_names[row.argmax()], f"{row.max():.6f}", *(f"{share:.6f}" for share in row)]
        for name, row in zip(names, shares, strict=True)
    )
    return table.to_csv(heads, rows)
