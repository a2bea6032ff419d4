"""Networks converted by a process of its own, whatever this one computes with."""

import signal
import sys

import numpy as np
import pytest

from models import ModelError
from models.build import Task
from models.candidate import Architecture
from models.export.runtimes import load
from models.latency import conversion
from models.latency.conversion import Converter, convert, start_early

TASK = Task(24, 24, 3, 2, "pretrained")


def architecture(**changes):
    return Architecture(**{"backbone": "custom_cnn", "resolution": 16, "head_width": 8, **changes})


@pytest.mark.slow
def test_networks_and_heads_one_after_the_other(tmp_path):
    whole, head = tmp_path / "whole", tmp_path / "head"
    with Converter("litert") as converter:
        converter.network(architecture(), TASK, whole)  # its pictures shrink
        converter.head(architecture(head_width=0, batch_norm_head=True), 64, 10, head)
        with pytest.raises(ModelError, match="the network cannot be converted for LiteRT: .*at least 8 pixels"):
            converter.network(architecture(resolution=7), TASK, tmp_path / "none")
        converter.backbone("custom_cnn", 16, False, tmp_path / "backbone")  # it goes on after a failure
    run, _ = load("litert", whole, 1)
    answer = run(np.zeros((1, 24, 24, 3), np.uint8))
    assert answer.shape == (1, 2) and answer.sum() == pytest.approx(1, abs=1e-5)
    run, _ = load("litert", head, 1)
    assert run(np.ones((1, 64), np.float32)).sum() == pytest.approx(1, abs=1e-5)
    run, _ = load("litert", tmp_path / "backbone", 1)
    assert run(np.ones((1, 16, 16, 3), np.float32)).ndim == 4
    assert not (tmp_path / "none").exists()


@pytest.mark.slow
def test_networks_that_end_at_different_places_the_last_ones_where_there_is_room(tmp_path):
    ends = [architecture(head_width=0, keep_blocks=blocks) for blocks in (1, 0, 2)]
    with Converter("litert") as converter:
        for room, n_written in ((0, 2), (2**30, 3)):
            paths = [tmp_path / f"{room}-{number}" for number in range(3)]
            converter.ends(ends, TASK, paths, spare=1, room=room)
            assert [path.exists() for path in paths] == [True, True, n_written == 3]
            for path in paths[:n_written]:
                run, _ = load("litert", path, 1)
                assert run(np.zeros((1, 24, 24, 3), np.uint8)).sum() == pytest.approx(1, abs=1e-5)
    assert len(list(tmp_path.iterdir())) == 5  # nothing beside them


@pytest.mark.parametrize(("backend", "asked"), [("tensorflow", False), ("jax", True)])
def test_another_process_is_asked_only_where_this_one_has_no_tensorflow(tmp_path, monkeypatch, backend, asked):
    written, requests = [], []
    monkeypatch.setattr("models.export.runtimes.export_one", lambda *given: written.append(given))
    monkeypatch.setattr(Converter, "network", lambda self, *given: requests.append(given))
    monkeypatch.setattr("keras.backend.backend", lambda: backend)
    convert("the model", "litert", architecture(), TASK, tmp_path)
    assert (bool(requests), bool(written)) == (asked, not asked)


@pytest.mark.slow
def test_a_process_that_was_killed_is_replaced(tmp_path):
    with Converter("litert") as converter:
        converter.head(architecture(), 4, 10, tmp_path / "head")
        converter._process.kill()
        converter._process.wait()
        converter.head(architecture(), 4, 10, tmp_path / "again")
    assert (tmp_path / "again").is_file()


@pytest.mark.parametrize(("number", "times"), [(signal.SIGKILL, 2), (signal.SIGABRT, 1)])
def test_one_that_dies_of_the_network_or_every_time_is_said(tmp_path, monkeypatch, number, times):
    starts = []

    def dying(module):
        starts.append(module)
        return [sys.executable, "-c", f"import os; os.kill(os.getpid(), {number})"]

    monkeypatch.setattr(conversion, "command", dying)
    monkeypatch.setattr(conversion, "_spare", [])
    said = "cannot be converted for LiteRT: the converting process died"
    with Converter("litert") as converter, pytest.raises(ModelError, match=said):
        converter.head(architecture(), 4, 10, tmp_path / "head")
    assert len(starts) == times


@pytest.mark.slow
def test_a_folder_of_the_users_own_called_models_is_not_taken_for_ours(tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "__init__.py").write_text("raise SystemExit('theirs')")
    monkeypatch.chdir(tmp_path)
    with Converter("litert") as converter:
        converter.head(architecture(), 4, 10, tmp_path / "head")
    assert (tmp_path / "head").is_file()


@pytest.mark.slow
def test_a_process_that_was_started_early_is_taken_by_the_first_that_asks(tmp_path):
    start_early()
    (early,) = conversion._spare
    start_early()
    assert conversion._spare == [early]
    with Converter("litert") as first:
        first.head(architecture(), 4, 10, tmp_path / "head")
        assert first._process is early and not conversion._spare
    assert (tmp_path / "head").is_file()
