"""The small evaluated study, to be changed."""

import shutil

import pytest

from studies.storage import load_study


@pytest.fixture
def copied(evaluated, tmp_path):
    shutil.copytree(evaluated.out, tmp_path / "runs")
    return evaluated.model_copy(update={"out": tmp_path / "runs"})


@pytest.fixture
def study(evaluated):
    return load_study(evaluated.storage, evaluated.study_name)
