"""Studies of several backbones on the same pictures, side by side."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.errors import BadInput
from hpo.reporting.tables_and_plots import write_comparison
from studies import comparison, paths
from studies.comparison import Row, Studied
from studies.contest import Contest, contest, missing, verdicts
from studies.likeness import ALIKE, notes
from studies.report.comparing import MISSING, NOT_ALIKE, SIGNIFICANT, TOGETHER, summary
from studies.tables import comparison as tables
from studies.tables.frame import records_to_frame

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class Comparison:
    """The models that stand for each study, and the files that they and the joint front were written to.

    Attributes:
        studies: as they are compared.
        rows: a model for each kind of each study.
        contest: which of them differ on the test pictures.
        folder: of the files.
        files: their paths.
    """

    studies: Sequence[Studied]
    rows: Sequence[Row]
    contest: Contest
    folder: Path
    files: Sequence[Path]

    @property
    def said(self) -> dict[str, tuple[str, ...]]:
        """Sentences under the headings that the report has too; only those that there are."""
        parts = {
            TOGETHER: summary(self.studies, self.rows, self.contest),
            SIGNIFICANT: verdicts(self.rows, self.contest),
            NOT_ALIKE: notes(self.studies) if len(self.studies) > 1 else (),
            MISSING: missing(self.studies, self.rows, self.contest),
        }
        return {heading: sentences for heading, sentences in parts.items() if sentences and sentences != (ALIKE,)}

    def to_pandas(self) -> "pandas.DataFrame":
        """A row for each kind of each study.

        Raises:
            PackageMissing: pandas is not installed.
        """
        return records_to_frame([tables.values(row, place, self.contest) for place, row in enumerate(self.rows)])

    def _repr_html_(self) -> str:
        return tables.on_terminal(self.rows).to_html()


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
    found = Comparison(studies, rows, contest(studies, rows), folder, ())
    return replace(found, files=write_comparison(studies, rows, found.contest, found.said, folder))
