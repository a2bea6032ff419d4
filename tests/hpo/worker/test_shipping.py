"""What a task on another machine needs from this one's disk, and what it leaves."""

import dataclasses

import pytest

from hpo.worker import checkpoints
from hpo.worker.checkpoints import Checkpoint
from hpo.worker.job import Job
from hpo.worker.shipping import files_of, has_data, keep, sides_of, weights_here
from models import ModelError
from tests import made
from tests.hpo.conftest import fake_facts

CANDIDATE = made.candidate()


@pytest.fixture
def folder(tmp_path):
    """One of pictures, so that each network gets them at its own side."""
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    return tmp_path / "photos"


def job(config, number=0, side=16):
    return Job(
        config,
        "study",
        number,
        dataclasses.replace(CANDIDATE, resolution=side),
        fake_facts(config),
        config.study_dir / "trials",
    )


def test_checkpoints_of_its_jobs_go_with_a_task(configure):
    config = configure()
    jobs = [job(config, 0, 16), job(config, 1, 24)]
    assert files_of([jobs, 4]) == []
    checkpoints.save(jobs[1].checkpoint_path, Checkpoint([], ()))
    [(name, content)] = files_of([jobs, 4])
    assert config.out / name == jobs[1].checkpoint_path
    assert content == jobs[1].checkpoint_path.read_bytes()


def test_pictures_at_the_sides_that_a_task_wants(configure, folder):
    config = configure(dataset=str(folder))
    facts = fake_facts(config)  # of 16, 24 and 32 px
    assert sides_of([[job(config, side=16), job(config, side=24)], 2]) == {16, 24, 32}
    assert sides_of([config, facts, 24]) == {24, 32}  # the map at one side
    assert sides_of([config]) == set()


def test_what_was_left_is_written_below_the_results_alone(tmp_path):
    keep(tmp_path, [("one/trials/00001.json", b"{}")])
    assert (tmp_path / "one" / "trials" / "00001.json").read_bytes() == b"{}"
    for name in ("../x", "/x", "one/../../x"):
        with pytest.raises(ValueError, match="must lie in the folder of results"):
            keep(tmp_path, [(name, b"")])


def test_a_users_file_of_weights_goes_before_one_of_keras_with_its_name(tmp_path, monkeypatch):
    """Fine-tuned weights that kept their published name are other weights."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "here"))
    of_keras, mine = tmp_path / "here" / "models" / "vgg19.h5", tmp_path / "mine" / "vgg19.h5"
    for path in (of_keras, mine):
        path.parent.mkdir(parents=True)
        path.touch()
    assert weights_here(ModelError("missing", missing=mine)) == mine
    assert weights_here(ModelError("missing", missing=tmp_path / "there" / "models" / "vgg19.h5")) == of_keras
    mine.unlink()
    assert weights_here(ModelError("missing", missing=mine)) is None
    assert weights_here(ModelError("damaged")) is None


def test_where_a_machine_has_its_pictures(configure, folder, tmp_path, monkeypatch):
    config = configure(dataset=str(folder))
    assert has_data(config)
    assert not has_data(config.model_copy(update={"dataset": str(folder) + "s"}))
    assert has_data(configure(dataset="digits", data_dir=tmp_path))  # scikit-learn brings it
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    for name, file in {
        "cifar10": "cifar-10-batches-py-target_archive",
        "fashion_mnist": "fashion-mnist/train-images-idx3-ubyte.gz",
    }.items():
        assert not has_data(configure(dataset=name))  # where the search is it is downloaded, and sent from there
        kept = tmp_path / "datasets" / file
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.touch()
        assert has_data(configure(dataset=name))
    assert not has_data(configure(dataset="cifar10", data_dir=tmp_path))
    (tmp_path / "cifar10.npz").touch()
    assert has_data(configure(dataset="cifar10", data_dir=tmp_path))
