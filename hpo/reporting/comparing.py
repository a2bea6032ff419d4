"""Studies of several backbones on the same pictures, side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.errors import BadInput
from hpo.reporting.tables_and_plots import write_comparison
from studies import comparison, paths
from studies.comparison import Row, Studied
from studies.tables.frame import records_to_frame

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class Comparison:
    """Three rows for each backbone, and the files that they and the joint front were written to."""

    studies: Sequence[Studied]
    rows: Sequence[Row]
    folder: Path
    files: Sequence[Path]

    def to_pandas(self) -> "pandas.DataFrame":
        """A row for each backbone and kind.

        Raises:
            PackageMissing: pandas is not installed.
        """
        return records_to_frame([comparison.values(row) for row in self.rows])

    def _repr_html_(self) -> str:
        return comparison.to_table(self.rows).to_html()


def compare(studies: Sequence[Studied], out: Path) -> Comparison:
    """Put studies side by side and write table and pictures below `out`.

    Raises:
        NotComparable: they are on other pictures, or were measured on another device.
        BadInput: nothing is complete.
    """
    comparison.check_comparable(studies)
    if not comparison.joint_front(studies):
        names = ", ".join(study.name for study in studies)
        raise BadInput(f"no trial of {names} is complete: there is nothing to compare")
    rows = comparison.rows(studies)
    folder = paths.comparison(out, studies[0].fingerprint.dataset)
    return Comparison(studies, rows, folder, write_comparison(studies, rows, folder))
