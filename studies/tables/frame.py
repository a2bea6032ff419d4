"""Records as a data frame, where pandas is installed."""

import importlib.util
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from studies.errors import PackageMissing

if TYPE_CHECKING:
    import pandas


def records_to_frame(records: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None) -> "pandas.DataFrame":
    """A row for each record.

    Raises:
        PackageMissing: pandas is not installed.
    """
    if importlib.util.find_spec("pandas") is None:
        raise PackageMissing("a data frame needs the package pandas, which is not installed: pip install pandas")
    import pandas

    return pandas.DataFrame(list(records), columns=None if columns is None else list(columns))
