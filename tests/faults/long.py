"""Faults that take minutes, on real studies of scikit-learn's digits: `make faults`. Not part of `make test`.

    python -m pytest tests/faults/long.py -v [-k run]     KILLS=5 for fewer kills of each command

What was tried, what survived and what was not tried is in docs/reliability.md.
"""

import contextlib
import json
import os
import random
import signal
import sqlite3
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from studies.finals import FinalRun, read_runs
from studies.paths import StudyFiles
from studies.records import TrialRecord
from studies.storage import load_study

KILLS = int(os.environ.get("KILLS", "25"))
TRIALS = 8
SMALL = ("--dataset", "digits", "--train-size", "300", "--val-size", "150", "--epochs", "2", "--resolutions", "16,24")
STUDY = "custom_cnn-digits"


@dataclass(frozen=True)
class Place:
    """A database and a folder of results of their own."""

    folder: Path

    @property
    def words(self) -> tuple[str, ...]:
        return ("--storage", f"sqlite:///{self.folder}/s.db", "--out", f"{self.folder}/runs")

    @property
    def cache(self) -> tuple[str, str]:
        return ("--cache-dir", f"{self.folder}/cache")

    def search(self, *more: str) -> list[str]:
        return python("hpo.run", *SMALL, *self.words, *self.cache, "--trials", str(TRIALS), *more)

    @property
    def records(self) -> list[TrialRecord]:
        from hpo.study import load_study as load

        return load(STUDY, storage=f"sqlite:///{self.folder}/s.db", out=self.folder / "runs").records

    def finals(self) -> list[FinalRun]:
        study = load_study(f"sqlite:///{self.folder}/s.db", STUDY)
        return read_runs(StudyFiles(self.folder / "runs" / STUDY), study.user_attrs["study_id"])


def python(module: str, *words: str) -> list[str]:
    return [sys.executable, "-m", module, *words]


def start(command: Sequence[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(command: Sequence[str], code: int = 0) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def kill_loop(
    command: Callable[[int], Sequence[str]], check: Callable[[], None], most_seconds: float, seed: int
) -> None:
    """SIGKILL a command, or every third time one of its workers and helpers, at random moments; `check` after each.

    A command that lost one of its processes goes on, or ends in one line that says so, as before the first trial, in a
    map, in a final training. But Python's own cleaner is left alone, of whose death Python itself tells the terminal.

    Args:
        command: by the number of the kill: what asks for more each time, so that there is always something to do.
        check: fails where something is broken.
        most_seconds: until a kill.
        seed: of the moments.
    """
    rng = random.Random(seed)
    for number in range(KILLS):
        process = start(command(number))
        killed = False
        family: list[psutil.Process] = []
        try:
            process.wait(rng.uniform(0.2, most_seconds))
        except subprocess.TimeoutExpired:
            family = psutil.Process(process.pid).children(recursive=True)
            workers = [one for one in family if not is_cleaner(one)]
            if number % 3 == 2 and workers:
                with contextlib.suppress(psutil.Error):  # it has just ended by itself
                    rng.choice(workers).kill()
            else:
                process.kill()
                killed = True
        try:
            said = process.communicate(timeout=600)[0]
        finally:
            process.kill()
        said_so = process.returncode == 1 and said.count("error:") == 1 and "died (signal 9)" in said
        ended = process.returncode == 0 or (killed and process.returncode == -signal.SIGKILL)
        assert ended or (not killed and said_so), said
        assert "Traceback" not in said, said
        gone(family)
        check()


def is_cleaner(process: psutil.Process) -> bool:
    try:
        return "resource_tracker" in " ".join(process.cmdline())
    except psutil.Error:  # it has just ended
        return True


def gone(family: Sequence[psutil.Process]) -> None:
    """The processes of a command end soon after it."""
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive, f"processes of a killed command live on: {alive}"


def healthy(place: Place) -> None:
    """The database is whole, and what lies in the folder of results is whole JSON."""
    if (place.folder / "s.db").exists():
        with sqlite3.connect(place.folder / "s.db", timeout=60) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.close()
    for path in (place.folder / "runs").rglob("[!.]*.json"):
        json.loads(path.read_text())


def all_there(records: Sequence[TrialRecord], trials: int = TRIALS) -> None:
    """As many trials as were wanted, none of them twice, and none failed but for two kills of one candidate."""
    counted = [record for record in records if record.counts]
    assert len(counted) == trials
    candidates = [record.candidate for record in counted if record.state in ("complete", "stopped")]
    assert len(set(candidates)) == len(candidates)
    reasons = [record.reason for record in counted if record.state == "failed"]
    assert all("as it did with the same candidate in trial" in reason for reason in reasons), reasons


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A study that nothing has happened to, evaluated with two seeds."""
    place = Place(tmp_path_factory.mktemp("searched"))
    finish(place.search())
    return place


def copy_of(place: Place, folder: Path) -> Place:
    subprocess.run(["cp", "-a", f"{place.folder}/.", str(folder)], check=True)
    return Place(folder)


def test_run_is_killed(place):
    def more(number: int) -> list[str]:
        return place.search("--trials", str(TRIALS + 2 * number))

    kill_loop(more, lambda: healthy(place), 16, seed=1)
    finish(more(KILLS))
    healthy(place)
    all_there(place.records, TRIALS + 2 * KILLS)


def test_evaluate_is_killed(searched, tmp_path):
    whole, place = copy_of(searched, tmp_path / "whole"), copy_of(searched, tmp_path / "killed")
    finish(evaluate(whole, KILLS))
    kill_loop(lambda number: evaluate(place, number), lambda: healthy(place), 16, seed=2)
    finish(evaluate(place, KILLS))
    expected = {(run.label, run.seed): run.scores.accuracy for run in whole.finals()}
    assert {(run.label, run.seed): run.scores.accuracy for run in place.finals()} == expected != {}


def evaluate(place: Place, number: int) -> list[str]:
    """With one seed more after every second kill."""
    return python("hpo.evaluate", STUDY, *place.words, *place.cache, "--pick", "few", "--seeds", str(2 + number // 2))


def test_report_is_killed(searched, tmp_path):
    place = copy_of(searched, tmp_path)
    command = python("hpo.report", STUDY, *place.words, *place.cache)
    page = place.folder / "runs" / STUDY / "report" / "index.html"

    def whole() -> None:
        healthy(place)
        assert not page.exists() or page.read_text().rstrip().endswith("</html>")

    kill_loop(lambda number: command, whole, 12, seed=3)  # is written anew each time
    finish(command)
    assert page.exists()
    whole()


def test_map_is_killed(place):
    sides = [16 + 4 * number for number in range(3 + KILLS // 2)]

    def more(number: int) -> list[str]:
        wanted = ",".join(map(str, sides[: 3 + number // 2]))
        words = ("--backbone", "custom_cnn", *SMALL[:6], "--resolutions", wanted, "--out", f"{place.folder}/runs")
        return python("hpo.map", *words, *place.cache)

    kill_loop(more, lambda: healthy(place), 16, seed=4)
    finish(more(KILLS))
    (found,) = (place.folder / "runs").glob("map-digits/map.json")
    assert {probe["resolution"] for one in json.loads(found.read_text()) for probe in probes(one)} == set(sides)


def probes(one: dict) -> list[dict]:
    return one.get("probes", [one])


def test_suspended_for_longer_than_the_stall_timeout(place):
    process = start(place.search("--stall-timeout", "12"))
    time.sleep(14)  # in the middle of it
    everybody = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for one in everybody:
        one.suspend()
    time.sleep(25)
    for one in everybody:
        one.resume()
    said = process.communicate(timeout=600)[0]
    assert process.returncode == 0, said
    all_there(place.records)
    assert not [record for record in place.records if record.state == "failed"]


def test_a_second_run_at_the_same_time_is_refused_and_harms_nothing(place):
    process = start(place.search())
    time.sleep(8)
    assert "is in use: process" in finish(place.search(), code=2)
    said = process.communicate(timeout=600)[0]
    assert process.returncode == 0, said
    all_there(place.records)


@pytest.mark.parametrize("how", ["BEGIN", "BEGIN EXCLUSIVE"])
def test_a_reader_holds_the_database(place, how):
    """A reader for the whole run; whoever locks everybody out for 15 s."""
    finish(place.search("--trials", "1"))
    connection = sqlite3.connect(place.folder / "s.db", isolation_level=None, check_same_thread=False)
    connection.execute(how)
    connection.execute("SELECT count(*) FROM trials").fetchall()
    timer = threading.Timer(15 if "EXCLUSIVE" in how else 600, connection.rollback)
    timer.start()
    try:
        finish(place.search())
    finally:
        timer.cancel()
        connection.close()
    all_there(place.records)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """A disk of so many MiB, which grows when it is asked for again."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = False

    def mount(mib: int) -> Path:
        nonlocal mounted
        options = f"size={mib}m" + (",remount" if mounted else "")
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
        mounted = True
        return folder

    yield mount
    if mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("mib", [1, 2, 3])
def test_a_disk_that_is_full(small_disk, mib):
    """One line and exit code 1, 2 or 3; with more room the same command goes on."""
    place = Place(small_disk(mib))
    done = subprocess.run(place.search(), capture_output=True, text=True, timeout=600)
    assert done.returncode in (1, 2, 3), done.stdout + done.stderr
    assert "Traceback" not in done.stderr and done.stderr.count("error:") == 1, done.stderr
    small_disk(400)
    finish(place.search())
    all_there(place.records)


def test_ctrl_c_at_any_moment(place):
    """The whole foreground group hears of it, as in a terminal."""
    rng = random.Random(5)
    for _ in range(max(3, KILLS // 3)):
        process = subprocess.Popen(place.search(), stderr=subprocess.PIPE, text=True, start_new_session=True)
        family: list[psutil.Process] = []
        try:
            process.wait(rng.uniform(0.1, 14))
        except subprocess.TimeoutExpired:
            family = psutil.Process(process.pid).children(recursive=True)
            os.killpg(process.pid, signal.SIGINT)
        said = process.communicate(timeout=120)[1]
        gone(family)
        assert process.returncode in (0, 130, -signal.SIGINT), said
        assert "Traceback" not in said, said
        healthy(place)
    finish(place.search())
    all_there(place.records)


GROWTH_TRIALS, MOST_GROWTH = 300, 0.3  # MiB for each trial of a worker


def test_a_long_study_does_not_grow(place, capsys):
    """Memory of parent and worker and their open files, while it runs; then what it leaves on the disk."""
    command = [*place.search(), "--trials", str(GROWTH_TRIALS)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    parent, seen = psutil.Process(process.pid), list[tuple[int, dict[int, tuple[float, int]]]]()
    trials = place.folder / "runs" / STUDY / "trials"
    while process.poll() is None:
        time.sleep(1)
        ended = len(list(trials.glob("[0-9]*.json")))
        seen.append((ended, {one.pid: size for one in _family(parent) if (size := _size(one))}))
    assert process.returncode == 0
    all_of_them = place.records
    assert sum(record.counts for record in all_of_them) == GROWTH_TRIALS
    own = [(n, sizes[process.pid]) for n, sizes in seen if n >= 20 and sizes.get(process.pid, (0.0, 0))[0] > 50]
    workers = {pid for _, sizes in seen for pid, (mib, _) in sizes.items() if pid != process.pid and mib > 300}
    slopes = {pid: _slope([(n, sizes[pid][0]) for n, sizes in seen if pid in sizes and n >= 20]) for pid in workers}
    files = max(files for _, sizes in seen for _, files in sizes.values())
    database = (place.folder / "s.db").stat().st_size
    results = sum(path.stat().st_size for path in (place.folder / "runs").rglob("*") if path.is_file())
    on_disk = [f"{size / GROWTH_TRIALS / 1024:.1f}" for size in (database, results)]
    with capsys.disabled():
        print(
            f"\n{GROWTH_TRIALS} trials: parent {own[0][1][0]:.0f} to {own[-1][1][0]:.0f} MiB, workers "
            f"{', '.join(f'{slope:.2f}' for slope in slopes.values())} MiB a trial, at most {files} open files, "
            f"database {on_disk[0]} and results {on_disk[1]} KiB a trial"
        )
    assert slopes and max(slopes.values()) <= MOST_GROWTH
    assert _slope([(n, mib) for n, (mib, _) in own]) <= MOST_GROWTH
    assert own[-1][1][1] <= own[0][1][1] + 8  # open files of the parent


def _family(parent: psutil.Process) -> list[psutil.Process]:
    try:
        return [parent, *parent.children(recursive=True)]
    except psutil.Error:
        return []


def _size(process: psutil.Process) -> tuple[float, int] | None:
    """MiB and open files."""
    try:
        return process.memory_info().rss / 2**20, process.num_fds()
    except psutil.Error:
        return None


def _slope(points: Sequence[tuple[float, float]]) -> float:
    """Of the line of least squares; 0 of too few points."""
    if len({x for x, _ in points}) < 10:
        return 0.0
    return statistics.linear_regression(*zip(*points, strict=True)).slope
