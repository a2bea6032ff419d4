"""Latencies that were measured again when a study ended; in records they stand for those that trials were told with.

Optuna keeps the value that a trial was told with for good; these are an attribute of the study.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import optuna
from pydantic import with_config

from studies import attributes, strict
from studies.errors import StudyRefused
from studies.outcomes import DeployedLatency, Latency


@with_config(strict.STRICT)
@dataclass(frozen=True)
class Latencies:
    """What is known after the last time that the front was measured again.

    Attributes:
        by_architecture: by `Candidate.architecture_key`, of all that depend on what was measured.
        again: the architectures that were measured again themselves.
    """

    by_architecture: Mapping[str, DeployedLatency | Latency]
    again: Sequence[str]

    def keep(self, study: optuna.Study) -> None:
        """Write them into a study."""
        study.set_user_attr(attributes.LATENCIES, strict.to_values(self))


AS_TOLD = Latencies({}, ())


def latencies_of(study: optuna.Study) -> Latencies:
    """Those that a study keeps; none where nothing was measured again.

    Raises:
        StudyRefused: they are not as this version of this program writes them.
    """
    stored = study.user_attrs.get(attributes.LATENCIES)
    if stored is None:
        return AS_TOLD
    try:
        return strict.from_values(Latencies, stored)
    except (TypeError, ValueError) as error:
        raise StudyRefused(f"study {study.study_name} was made by another version of this program: {error}") from error
