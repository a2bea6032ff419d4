"""A study without Keras: fake facts and a fake evaluation, in this process."""

import concurrent.futures
import functools
import os

import numpy as np
import pytest
from filelock import FileLock

import hpo.search.loop
import hpo.search.parts
import hpo.search.run
import hpo.worker.trial
from hpo.config import make_config
from hpo.search.fingerprint import fingerprint
from hpo.search.space import make_space
from hpo.worker import checkpoints
from hpo.worker.checkpoints import Checkpoint
from hpo.worker.executor import wait_a_moment
from hpo.worker.facts import Facts
from hpo.worker.trial import over_budget
from models.training.recipe import Epoch
from studies.outcomes import Outcome
from studies.paths import write_text
from studies.storage import open_storage, open_study
from tests import made

MACHINE = {
    "device": "test",
    "backend": "none",
    "dtype": "float32",
    "versions": {"keras": "0"},
    "latency_protocol": 1,
}


class Recorder:
    """A display that remembers what it was told."""

    def __init__(self):
        self.notes, self.lines = [], []

    def note(self, text):
        self.notes.append(text)

    def waiting(self, text):
        pass

    def steps(self, done, total):
        self.lines.append((done, total))

    def prepared(self, config, facts, records):
        pass

    def tick(self, running):
        pass

    def told(self, record, records):
        assert records[record.number] is record
        self.lines.append((record.number, record.state))


def fake_facts(config):
    return Facts(
        "digits",
        "d" * 64,
        ("a", "b"),
        (8, 8, 1),
        100,
        20,
        "s" * 64,
        "none",
        0,
        config.resolutions or (16, 24, 32),
        (1, 2, 3, 4),
        (8, 16, 24, 32),
        None,
        "w" * 64,
        MACHINE,
    )


def fake_accuracy(job, epoch):
    """From the candidate alone: larger is dearer and a little better, and every epoch is better than the one before."""
    final = 0.5 + job.candidate.resolution / 100 - abs(job.candidate.dropout - 0.2) / 10
    return round(final - 0.3 / epoch, 6)


def fake_evaluate(job, until, accuracy=fake_accuracy):
    """Outcome, curve and checkpoint as the real one leaves them; deterministic if `accuracy` is."""
    c, config = job.candidate, job.config
    latency, flops = c.resolution / 10, c.resolution**2 * 1000
    cost = made.measurement(latency, flops)
    constraints = over_budget(config, cost)
    trained = all(value <= 0 for value in constraints.values())
    curve = [{"epoch": n + 1, "val_accuracy": accuracy(job, n + 1)} for n in range(until if trained else 0)]
    best = max(curve, key=lambda point: point["val_accuracy"], default=None)
    outcome = Outcome(
        study_id=job.study_id,
        number=job.number,
        candidate=c,
        measurement=cost,
        trainable_parameters=5,
        val_accuracy=best["val_accuracy"] if best else None,
        best_epoch=best["epoch"] if best else None,
        constraints=constraints,
        curve=curve,
        seconds={"train": job.spent.get("train", 0.0) + 0.25},
        peak_memory_mib=1.0,
        seed=job.seed,
        machine=MACHINE,
        plan="fake",
    )
    if not trained or until >= config.epochs:
        write_text(job.files.outcome, outcome.to_json())
    else:
        points = tuple(Epoch(point["epoch"], 0.0, 0.0, 0.0, point["val_accuracy"], 0.0) for point in curve)
        checkpoints.save(job.checkpoint_path, Checkpoint([np.zeros(1)], points))
    return outcome


def fake_group(jobs, until, accuracy=fake_accuracy):
    return [fake_evaluate(job, until, accuracy) for job in jobs]


def fake_again(jobs, architectures):
    """The latencies that there were."""
    return {each.architecture_key(): made.latency(each.resolution / 10) for each in architectures}


class FakeWorkers:
    """An executor that says nothing of itself; `submit` is for a test to write, else nothing is ever answered."""

    is_mixed = False

    def __init__(self, slots=1):
        self.slots = slots

    def submit(self, function, *args, **where):
        return concurrent.futures.Future()

    def wait_any(self, futures):
        wait_a_moment(futures)

    def news(self):
        return []

    def stop(self):
        pass


class Probing:
    """Stands in for the worker: two places at each side, larger sides better."""

    def __init__(self):
        self.sides, self.broken = [], None

    def __call__(self, config, facts, side):
        if side == self.broken:
            raise KeyboardInterrupt
        self.sides.append(side)
        about = {"backbone": config.backbone, "blocks": len(facts.stages)}
        return [made.probe(kept, side, side / 100 + (0.1 if kept else 0.0), **about) for kept in (2, 0)]


class Fakes:
    """Parts of a search that need no Keras, and the study that is run with them. Tests put others in their place.

    `evaluate` does what `hpo.worker.trial.evaluate` does; `attempt`, if set, stands in for the whole task.
    """

    def __init__(self, recorder):
        self.recorder, self.changes = recorder, {}
        self.prepare, self.evaluate, self.attempt = fake_facts, fake_task, None
        self.measure_again = fake_again

    @property
    def parts(self):
        attempt = self.attempt or functools.partial(hpo.worker.trial.attempt, run=self.evaluate)
        given = {"prepare": self.prepare, "attempt": attempt, "measure_again": self.measure_again}
        return hpo.search.parts.Parts(**given, **self.changes)

    def run(self, config):
        return hpo.search.run.run_search(config, self.recorder, self.parts)

    def search(self, config, workers):
        facts = self.prepare(config)
        space = make_space(config, facts.stages, facts.resolutions)
        study = open_study(
            open_storage(config.storage, write=True), config.study_name, fingerprint(config, facts, space).to_dict()
        )
        return hpo.search.loop.Search(config, study, facts, space, workers, self.recorder, self.parts)


def fake_task(jobs, until, alive, seconds):
    return fake_group(jobs, until)


@pytest.fixture
def recorder():
    return Recorder()


@pytest.fixture
def configure(tmp_path):
    def make(**values):
        """Every trial is trained to its end, unless a test says otherwise; latency is quick to measure."""
        return make_config(
            {
                "storage": f"sqlite:///{tmp_path}/studies.db",
                "out": tmp_path / "runs",
                "workers": 0,
                "no_map": True,
                "cache_dir": tmp_path / "cache",
                "trials": 8,
                "epochs": 2,
                "stopping": "none",
                "latency_runtime": "keras",
            }
            | values
        )

    return make


@pytest.fixture
def small(configure):
    """Real digits, few of them."""
    return configure(train_size=200, val_size=100, epochs=2, resolutions=(16,))


@pytest.fixture
def fakes(recorder):
    return Fakes(recorder)


@pytest.fixture(scope="session")
def evaluated(tmp_path_factory):
    """The configuration of a small study on real digits whose two trials and baseline were evaluated with two seeds.

    Only to be read: it is there once for all tests, and made by the first process of pytest-xdist that wants it. The
    baseline is trial 0.
    """
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder = shared / "evaluated"
    places = {"storage": f"sqlite:///{folder}/studies.db", "out": folder / "runs", "cache_dir": folder / "cache"}
    sizes = {"train_size": 200, "val_size": 100, "epochs": 2, "resolutions": (16,), "trials": 3, "workers": 0}
    config = make_config({**places, **sizes, "no_map": True, "stopping": "none", "latency_runtime": "keras"})
    with FileLock(shared / "evaluated.lock"):
        if not (folder / "done").exists():
            _evaluate(config)
            (folder / "done").touch()
    return config


def _evaluate(config):
    from hpo.study import load_study

    hpo.search.run.run_search(config, Recorder())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hpo.final.training.LONG_SECONDS", 0.1)
        models = load_study(config.study_name, storage=config.storage).evaluate(trials=[0, 2], seeds=2)
    assert (len(models), models.failures) == (3, ())
