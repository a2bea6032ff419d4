"""Latencies that a study keeps beside what its trials were told with."""

import optuna
import pytest

from studies.attributes import LATENCIES
from studies.errors import StudyRefused
from studies.latencies import AS_TOLD, Latencies, latencies_of
from tests import made


def test_they_are_kept_as_they_are():
    study = optuna.create_study()
    assert latencies_of(study) == AS_TOLD
    both = {"a/r32": made.deployed_latency(0.5), "b": made.latency(7.0)}
    Latencies(both, ["a/r32"]).keep(study)
    assert latencies_of(study) == Latencies(both, ["a/r32"])


@pytest.mark.parametrize("stored", [{"by_architecture": {"a": 1.0}, "again": []}, {"again": []}, "text", 5])
def test_what_is_not_ours_is_refused(stored):
    study = optuna.create_study(study_name="s")
    study.set_user_attr(LATENCIES, stored)
    with pytest.raises(StudyRefused, match="study s was made by another version of this program"):
        latencies_of(study)
