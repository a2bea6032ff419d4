"""The number of record, from what the measuring process brings. No number is compared with a clock."""

import gc
import json
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from models import ModelError
from models.candidate import Architecture
from models.latency import deployed, process
from models.latency.conversion import Converter
from models.latency.deployed import estimate, measure_files

ABOUT = {"backend": "LiteRT 2.3.0", "threads": 1, "device": "a CPU", "dtype": "float32", "batch_size": 1}


def test_the_lower_half_of_the_rounds_counts_each_by_its_lowest_call():
    shifts = (20, 10, 40, 30, 90, 60)
    rounds = [[1_000_000 * (run + shift) for run in range(101)] for shift in shifts]  # in ms: shift to shift + 100
    latency = estimate(rounds, ABOUT)
    assert latency.ms == 20.0
    assert latency.high_ms == 20.0 + (35.0 - 10.0)  # from the lowest to the median round
    assert (latency.runs, latency.backend, latency.threads) == (606, "LiteRT 2.3.0", 1)
    assert latency.p10_ms <= latency.median_ms <= latency.p90_ms <= latency.p99_ms


def test_what_only_adds_to_most_runs_changes_nothing():
    quiet = [[1_000_000] * 100] * 6
    disturbed = [*[[1_000_000] * 10 + [9_000_000] * 90] * 3, *[[7_000_000] * 100] * 3]
    assert estimate(quiet, ABOUT).ms == estimate(disturbed, ABOUT).ms == 1.0
    assert estimate(disturbed, ABOUT).high_ms == 4.0  # but it is seen


def test_of_many_rounds_the_six_lowest_count():
    rounds = [[1_000_000 * ms] * 10 for ms in (90, 10, 70, 40, 20, 80, 30, 60, 50)]
    latency = estimate(rounds, ABOUT)
    assert (latency.ms, latency.high_ms) == (20.0, 20.0 + (35.0 - 10.0))


def test_no_latency_is_surer_than_one_percent():
    assert estimate([[1_000_000] * 100] * 6, ABOUT).high_ms == 1.01


def measured_in_turns(monkeypatch, tmp_path, ms):
    """The latencies of the files `a` and `b`; `ms` says what each takes in which round. With what was asked for."""
    asked = []

    def rounds(specs, files, *_):
        for spec in specs:
            asked.append((spec["seed"], [file.name for file in files]))
            yield [[int(1e6 * ms(file.name, len(asked) - 1))] * 10 for file in files]

    monkeypatch.setattr(deployed, "_rounds", rounds)
    return measure_files([tmp_path / "a", tmp_path / "b"], "litert", seed=5), asked


@pytest.mark.parametrize(("seconds", "runs"), [(None, 100), (0.5, 200), (3.0, 1200)])
def test_who_gives_more_time_gets_more_calls(monkeypatch, tmp_path, seconds, runs):
    asked = []
    monkeypatch.setattr(
        deployed, "_rounds", lambda specs, *_: asked.extend(spec["runs"] for spec in specs) or [[[1_000_000] * 10]] * 6
    )
    measure_files([tmp_path / "a"], "litert", **({} if seconds is None else {"seconds": seconds}))
    assert asked == [runs] * 6


def test_what_is_unsure_is_measured_in_more_rounds(monkeypatch, tmp_path):
    """The first file is the same in all rounds; the second has two kinds, then one."""
    kinds = {"a": lambda number: 1.0, "b": lambda number: 2.0 if number < 2 or number >= 6 else 3.0}
    (sure, unsure), asked = measured_in_turns(monkeypatch, tmp_path, lambda name, number: kinds[name](number))
    assert asked[:6] == [(5 + number, ["a", "b"]) for number in range(6)]
    # Six more make it sure, but lower it; six more after these change nothing.
    assert asked[6:] == [(11 + number, ["b"]) for number in range(12)]
    assert (sure.ms, sure.runs) == (1.0, 60)
    assert (unsure.ms, unsure.runs, unsure.high_ms) == (2.0, 180, 2.02)


def test_what_never_settles_is_measured_in_36_rounds(monkeypatch, tmp_path):
    (sure, unsure), asked = measured_in_turns(
        monkeypatch, tmp_path, lambda name, number: 1.0 if name == "a" else 40.0 - number
    )
    assert (sure.runs, unsure.runs, len(asked)) == (60, 360, 36)
    assert (unsure.ms, unsure.high_ms) == (6.0, 8.5)  # of 5 to 10


def test_threads_are_checked_before_anything_runs(tmp_path):
    with pytest.raises(ModelError, match="latency_threads must be at least 1. Received: 0"):
        measure_files([tmp_path / "none"], "litert", 0)


def test_a_file_that_the_runtime_refuses_is_one_line(tmp_path):
    (tmp_path / "model").write_bytes(b"no network")
    with pytest.raises(ModelError, match="latency cannot be measured in LiteRT: .+") as refusal:
        measure_files([tmp_path / "model"], "litert", seconds=0.01)
    assert "\n" not in str(refusal.value)


@pytest.mark.slow
def test_more_work_takes_longer(tmp_path):
    with Converter("litert") as converter:
        for width in (0, 1024):
            head = Architecture(backbone="custom_cnn", resolution=16, head_width=width)
            converter.head(head, 1024, 10, tmp_path / str(width))
    rounds = []

    @contextmanager
    def alone():
        rounds.append("begins")
        yield
        rounds.append("ends")

    with (tmp_path / "1024").open("rb") as file:
        (tmp_path / "1024").unlink()  # an open file is enough
        files = [tmp_path / "0", file.fileno()]
        small, large = measure_files(files, "litert", seconds=0.02, alone=alone)
    assert rounds == ["begins", "ends"] * (len(rounds) // 2)
    assert len(rounds) // 2 in range(deployed.ROUNDS, deployed.MOST_ROUNDS + 1, deployed.ROUNDS)
    assert 0 < small.ms <= small.high_ms < large.ms
    assert (small.batch_size, small.threads, small.dtype) == (1, 1, "float32")
    assert small.backend.startswith("LiteRT 2.")
    assert small.runs >= 5 * deployed.ROUNDS


def test_others_wait_for_a_round_only_and_not_for_processes_to_start(tmp_path, monkeypatch):
    """All of which have started before the first one measures, and read then what they are to do."""
    seen = tmp_path / "seen"
    script = (
        "import json, sys\nseen = open(sys.argv[1], 'a', buffering=1)\nseen.write('starts\\n')\n"
        "print('a word of a library\\n')\nprint('started', flush=True)\nspec = json.load(sys.stdin)\nprint('another')\n"
        "seen.write(f'measures {spec[\"seed\"]}\\n')\nprint([[spec['seed']]])"
    )
    monkeypatch.setattr(deployed, "command", lambda _: [sys.executable, "-c", script, str(seen)])
    happened = []

    @contextmanager
    def alone():
        before = seen.read_text().splitlines()
        yield
        happened.append((before, seen.read_text().splitlines()))

    @contextmanager
    def starting():
        assert not seen.exists()
        yield
        assert seen.read_text() == "starts\nstarts\n"

    specs = [{"runtime": "litert", "seed": seed} for seed in (7, 8)]
    assert list(deployed._rounds(specs, [], alone, starting)) == [[[7]], [[8]]]
    first, second = (["starts", "starts", *(f"measures {seed}" for seed in seeds)] for seeds in ((7,), (7, 8)))
    assert happened == [(["starts", "starts"], first), (first, second)]


def test_a_process_that_says_much_before_it_starts_is_heard(tmp_path, monkeypatch):
    """More than a pipe holds; the last line is the reason of what goes wrong."""
    script = "import sys\nfor _ in range(20_000): print('a long word', file=sys.stderr)\nsys.exit('the end')"
    monkeypatch.setattr(deployed, "command", lambda _: [sys.executable, "-c", script])
    with pytest.raises(ModelError, match="latency cannot be measured in LiteRT: the end$"):
        list(deployed._rounds([{"runtime": "litert"}], []))


def test_an_interruption_ends_all_that_were_started(monkeypatch):
    started = []

    class Started(subprocess.Popen):
        def __init__(self, *args, **kwargs):
            started.append(self)
            super().__init__(*args, **kwargs)

    @contextmanager
    def interrupted():
        raise KeyboardInterrupt
        yield

    script = "import time; print('started', flush=True); time.sleep(600)"
    monkeypatch.setattr(deployed, "command", lambda _: [sys.executable, "-c", script])
    monkeypatch.setattr(deployed.subprocess, "Popen", Started)
    with pytest.raises(KeyboardInterrupt):
        list(deployed._rounds([{"runtime": "litert"}] * 2, [], interrupted))
    assert [process.wait(10) for process in started] == [-signal.SIGKILL] * 2


def test_a_process_that_hangs_is_ended_by_the_kernel(tmp_path, monkeypatch):
    code = (
        "import time; from models.latency import process; process.LIMIT_SECONDS = 1; "
        "process.LOADERS['litert'] = lambda *_: time.sleep(60); process.main()"
    )
    monkeypatch.setattr(deployed, "command", lambda module: [sys.executable, "-c", code])
    (tmp_path / "any").touch()
    with pytest.raises(ModelError, match="latency cannot be measured in LiteRT: it was ended by signal 14"):
        measure_files([tmp_path / "any"], "litert")


@pytest.mark.parametrize(("mib", "times"), [(3, 0), (5, 4)])
def test_a_network_larger_than_a_third_of_the_last_cache_is_measured_cold(tmp_path, monkeypatch, mib, times):
    """Before each counted call, not before the first two, all of another block of memory is read."""
    (tmp_path / "index3").mkdir()
    (tmp_path / "index3" / "size").write_text("12M\n")
    cache = process.last_cache(tmp_path)
    assert cache == 12 << 20
    (tmp_path / "net").write_bytes(bytes(mib << 20))
    read, happened = [], []

    class Others:
        def max(self):
            happened.append("reads")

    monkeypatch.setattr(process.signal, "alarm", lambda seconds: None)  # it would end this process
    monkeypatch.setattr(process, "last_cache", lambda: cache)
    monkeypatch.setattr(process.np, "ones", lambda size, dtype: read.append((size, dtype)) or Others())
    monkeypatch.setitem(process.LOADERS, "litert", lambda *_: lambda: happened.append("calls"))
    monkeypatch.setattr(process, "LEAST_RUNS", 4)
    spec = {"runtime": "litert", "paths": [str(tmp_path / "net")], "threads": 1, "seed": 0, "seconds": 60, "runs": 4}
    (runs,) = process.run(spec)
    assert len(runs) == 4 and gc.isenabled()
    assert read == [(24 << 20 if times else 0, process.np.uint8)]
    assert happened == ["calls", "calls", *(["reads", "calls"] * 4 if times else ["calls"] * 4)]
    assert happened.count("reads") == times


@pytest.mark.parametrize(("sizes", "cache"), [({"index0": "32K", "index2": "1024K"}, 1 << 20), ({}, 32 << 20)])
def test_the_last_cache_is_the_largest_that_the_system_tells(tmp_path, sizes, cache):
    for name, size in sizes.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "size").write_text(size + "\n")
    assert process.last_cache(tmp_path) == cache


def test_a_clock_that_stands_still_is_said():
    with pytest.raises(ModelError, match="the clock of this machine is too coarse"):
        estimate([[0] * 10, [1_000_000] * 10], ABOUT)


@pytest.mark.slow
def test_the_measuring_process_holds_the_runtime_alone(tmp_path):
    with Converter("litert") as converter:
        converter.head(Architecture(backbone="custom_cnn", resolution=16, head_width=8), 16, 10, tmp_path / "head")
    spec = {"runtime": "litert", "paths": [str(tmp_path / "head")] * 2, "threads": 1}
    code = (
        "import sys; from models.latency.process import main; main(); "
        "sys.exit(bool({'tensorflow', 'keras', 'jax', 'optuna'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "litert"],
        input=json.dumps({**spec, "seconds": 0.01, "runs": 100, "seed": 0}),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    started, answer = done.stdout.splitlines()
    times = json.loads(answer)
    assert started == "started" and len(times) == 2
    assert all(len(runs) >= 5 and min(runs) > 0 for runs in times)


def test_a_measuring_process_that_was_killed_is_started_once_more(tmp_path, monkeypatch):
    """As the kernel kills where memory runs out; what dies of the network itself is said."""
    script = (
        "import os, sys; open(sys.argv[1], 'a').write('x'); print('started'); print('[[7]]')\n"
        "sys.stdout.flush(); open(sys.argv[1]).read() in sys.argv[2].split() and os.kill(os.getpid(), int(sys.argv[3]))"
    )

    def dying(times: str, number: int) -> Path:
        count = tmp_path / f"{number} {times}"
        monkeypatch.setattr(
            deployed, "command", lambda _: [sys.executable, "-c", script, str(count), times, str(number)]
        )
        return count

    count = dying("x", signal.SIGKILL)
    assert list(deployed._rounds([{"runtime": "litert"}], [])) == [[[7]]]
    assert count.read_text() == "xx"
    count = dying("x xx", signal.SIGKILL)
    with pytest.raises(ModelError, match="latency cannot be measured in LiteRT: it was ended by signal 9"):
        list(deployed._rounds([{"runtime": "litert"}], []))
    assert count.read_text() == "xx"
    count = dying("x", signal.SIGTERM)
    with pytest.raises(ModelError, match="it was ended by signal 15"):
        list(deployed._rounds([{"runtime": "litert"}], []))
    assert count.read_text() == "x"
