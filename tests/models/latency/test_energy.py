"""Energy from counters, here folders that look like Linux's."""

import json
import os
import subprocess
import sys

import pytest

from models import ModelError
from models.latency import energy
from models.latency.energy import of_calls, of_files, packages, spent


@pytest.fixture
def make_zone(tmp_path):
    def make(zone, name="package-0", microjoules=1_000, end=10_000):
        folder = tmp_path / zone
        folder.mkdir()
        for file, value in (("name", name), ("energy_uj", microjoules), ("max_energy_range_uj", end)):
            (folder / file).write_text(f"{value}\n")
        return folder

    return make


def test_packages_count_and_their_parts_do_not(make_zone, tmp_path):
    first, second = make_zone("intel-rapl:0"), make_zone("intel-rapl:1", "package-1")
    make_zone("intel-rapl:0:0", "core")
    make_zone("intel-rapl:0:1", "package-0")
    make_zone("intel-rapl:2", "psys")
    make_zone("dtpm:0")
    assert packages(tmp_path) == [first, second]
    (first / "energy_uj").unlink()  # as where root alone may read it
    (second / "energy_uj").write_text("no number")
    assert packages(tmp_path) == []
    assert packages(tmp_path / "none") == []


def test_a_counter_that_begins_again(make_zone):
    zones = [make_zone("intel-rapl:0"), make_zone("intel-rapl:1", end=5_000)]
    before = {zones[0]: 1_000, zones[1]: 4_900}
    assert spent(before, {zones[0]: 1_700, zones[1]: 4_950}) == 750
    assert spent(before, {zones[0]: 1_000, zones[1]: 300}) == 400  # 100 to its end and 300 more


def test_millijoules_of_one_call(make_zone):
    zone = make_zone("intel-rapl:0", microjoules=0)
    calls = []

    def call():
        calls.append(1)
        (zone / "energy_uj").write_text(str(2_500 * len(calls)))

    assert of_calls(call, [zone], seconds=0.01) == pytest.approx(2.5)  # the first call is not counted
    assert len(calls) > 1
    assert of_calls(lambda: None, [zone], seconds=0.01) is None  # it stands still


def test_without_a_counter_nothing_is_started(tmp_path, monkeypatch):
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("started"))
    assert of_files([tmp_path / "a", tmp_path / "b"], "litert", 1, tmp_path) == [None, None]


def test_files_are_measured_in_a_process_of_their_own(make_zone, tmp_path, monkeypatch):
    zone = make_zone("intel-rapl:0", microjoules=0)
    code = (
        "from pathlib import Path; from models.latency import energy, process; energy.SECONDS = 0.01; "
        f"zone = Path({json.dumps(str(zone))}) / 'energy_uj'; "
        "load = lambda path, threads, seed: lambda: zone.write_text(str(int(zone.read_text()) + threads * 1000)); "
        "process.LOADERS['litert'] = load; energy.main()"
    )
    monkeypatch.setattr(energy, "command", lambda module: [sys.executable, "-c", code])
    (zone / "max_energy_range_uj").write_text(str(10**15))
    assert of_files([tmp_path / "a", tmp_path / "b"], "litert", 3, tmp_path) == pytest.approx([3.0, 3.0])
    monkeypatch.setattr(energy, "command", lambda module: [sys.executable, "-c", "raise OSError('no counter')"])
    with pytest.raises(ModelError, match="energy cannot be measured: OSError: no counter"):
        of_files([tmp_path / "a"], "litert", 1, tmp_path)


def test_where_linux_has_them():
    assert os.fspath(energy.POWERCAP) == "/sys/class/powercap"
