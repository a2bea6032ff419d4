"""What is private in Ray is still there."""

import pytest

from hpo.worker.ray_private import be_quiet


def test_what_nodes_say_can_be_kept_off_the_terminal(capsys, monkeypatch):
    worker = pytest.importorskip("ray._private.worker", reason="the package ray is not installed")
    said = {"lines": ["a worker died"], "pid": "raylet", "is_err": False}
    monkeypatch.setattr(worker, "_worker_logs_enabled", True)
    worker.print_worker_logs(said, None)
    assert "a worker died" in capsys.readouterr().out
    be_quiet()
    worker.print_worker_logs(said, None)
    assert capsys.readouterr().out == ""
