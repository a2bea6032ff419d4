"""What stands beside the results of a study's trials: enough to make a study of them if its database is lost."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import with_config

from studies import strict


@with_config(strict.STRICT)
@dataclass(frozen=True)
class Remains:
    """As `runs/<study>/study.json` has it.

    Attributes:
        study_id: that each result names.
        fingerprint: what makes the numbers of the trials comparable, see `studies.fingerprint`.
    """

    study_id: str
    fingerprint: Mapping[str, Any]
