"""A final model in another form, as a worker makes and measures it."""

import numpy as np
import pytest

from hpo.errors import BadInput
from hpo.final.conversion import CALIBRATION, Conversion, Timing, convert, pair, time_files
from hpo.worker.session import current
from models import ModelError
from models.latency import deployed
from studies.finals import read_runs
from studies.forms import AS_TRAINED, digest_of
from studies.paired import Pairs
from studies.paths import StudyFiles
from tests import made


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("hpo.final.conversion.LONG_SECONDS", 0.1)


@pytest.fixture
def make_job(copied, study, tmp_path):
    def make(name, digest=None, label="2"):
        files = StudyFiles(copied.study_dir)
        run = next(one for one in read_runs(files, study.user_attrs["study_id"]) if (one.label, one.seed) == (label, 0))
        original = files.run(label, 0)
        same = digest or study.user_attrs["fingerprint"]["dataset_digest"]
        path = original.model if name == AS_TRAINED else tmp_path / "exported"
        return Conversion(copied, same, 16, run, original, name, path, tmp_path / "x.progress")

    return make


def test_the_original_gives_its_own_numbers(make_job):
    job = make_job(AS_TRAINED)
    found = convert(job)
    assert (found.format, found.accuracy, found.same_class) == (AS_TRAINED, job.run.scores.accuracy, 1.0)
    assert (found.study_id, found.label, found.run) == (job.run.study_id, "2", digest_of(job.run))
    assert (found.pairs.lost, found.pairs.gained) == (0, 0)
    assert found.max_difference < 1e-6
    assert found.bytes == job.run.model_bytes
    assert 0 < found.latency_ms <= found.latency.p90_ms


@pytest.mark.slow
def test_exported_for_another_runtime(make_job):
    job = make_job("litert")
    found = convert(job)
    assert found.accuracy == pytest.approx(job.run.scores.accuracy, abs=0.003)
    assert found.max_difference < 1e-4
    assert found.bytes == job.path.stat().st_size
    assert found.latency is None
    ((latency, energy),) = time_files(Timing(job.config, "litert", [job.path], job.progress))
    assert 0 < latency.ms <= latency.high_ms
    assert (latency.measured_in, energy is None or energy > 0) == ("LiteRT, 1 thread", True)


def test_ranges_of_int8_come_from_training_pictures(make_job, copied, monkeypatch):
    seen = []
    monkeypatch.setattr("models.export.runtimes.export", lambda *given: seen.append(given[3]))
    monkeypatch.setattr("models.export.runtimes.load", lambda *given: (lambda x: np.full((len(x), 10), 0.1), "none"))
    monkeypatch.setattr("models.export.runtimes.size", lambda path: 1)
    assert convert(make_job("litert-int8")).same_class < 1
    train = current().data(copied, 8).images[current().split(copied, 8).train]
    assert len(train) == CALIBRATION == 200
    assert np.array_equal(seen[0], train)


def test_other_pictures_than_the_study_had(make_job, copied):
    with pytest.raises(BadInput, match="digits is not what study custom_cnn-digits was made with"):
        convert(make_job(AS_TRAINED, digest="d" * 64))
    job = make_job(AS_TRAINED)
    np.savez(job.original.predictions, probabilities=np.ones((1, 10)), labels=np.zeros(1, int))
    with pytest.raises(BadInput, match="digits is not what study"):
        convert(job)


def test_what_goes_wrong_in_a_worker(make_job, monkeypatch):
    job = make_job("litert")
    monkeypatch.setattr("models.export.runtimes.export", _fail)
    with pytest.raises(RuntimeError, match="no such operator"):
        convert(job)
    assert not job.progress.exists()
    job.original.model.write_bytes(b"no")
    with pytest.raises(ModelError, match="not the model that it should be"):
        convert(job)


def _fail(*_):
    raise RuntimeError("no such operator")


def test_files_of_a_model_are_measured_in_turns_with_the_threads_of_the_study(copied, tmp_path, monkeypatch):
    asked = []

    def measure_files(paths, runtime, threads, seconds, alone):
        with alone():  # nobody trains meanwhile
            pass
        asked.append((paths, runtime, threads, seconds))
        return [deployed.DeployedLatency(**vars(made.deployed_latency(ms))) for ms in (1.0, 2.0)]

    monkeypatch.setattr("models.latency.deployed.measure_files", measure_files)
    monkeypatch.setattr("models.latency.energy.of_files", lambda paths, runtime, threads: [None, 0.5])
    config = copied.model_copy(update={"latency_threads": 3})
    paths = [tmp_path / "a", tmp_path / "b"]
    found = time_files(Timing(config, "onnx", paths, tmp_path / "x.progress"))
    assert asked == [(paths, "onnx", 3, 0.1 / deployed.ROUNDS)]
    assert found == [(made.deployed_latency(1.0), None), (made.deployed_latency(2.0), 0.5)]
    assert not (tmp_path / "x.progress").exists()


def test_pictures_are_counted_in_pairs():
    first = np.array([1, 1, 1, 0, 0, 0, 0], bool)
    second = np.array([1, 0, 0, 1, 0, 0, 0], bool)
    assert pair(first, second) == Pairs(1, 2, 1, 3)
