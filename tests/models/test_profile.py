"""The command line: its JSON, its exit codes, its one-line errors."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from models import profile
from models.latency.deployed import PROTOCOL

KEYS = {
    "backbone", "resolution", "top", "parameters", "trainable_parameters", "macs", "flops", "other_flops",
    "flops_by_kind", "batch_size", "latency_ms", "latency_ms_by_runtime", "backend", "device", "dtype", "versions",
    "latency_protocol",
}  # fmt: skip


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "models.profile", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def status(arguments: list[str]) -> int:
    with pytest.raises(SystemExit) as ended:
        profile.command(arguments)
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.slow
def test_json() -> None:
    done = _run("--backbone", "custom_cnn", "--json")
    assert done.returncode == 0
    assert not done.stderr.strip() or sys.platform != "linux"
    report = json.loads(done.stdout)  # one object, nothing else
    assert set(report) == KEYS
    assert (report["backbone"], report["resolution"], report["top"]) == ("custom_cnn", 32, True)
    assert report["parameters"] == 317_802
    assert report["trainable_parameters"] == 316_970
    assert report["flops"] == 2 * report["macs"] == 2 * 13_862_784
    assert sum(kind["macs"] for kind in report["flops_by_kind"].values()) == report["macs"]
    assert sum(kind["flops"] for kind in report["flops_by_kind"].values()) == report["flops"] + report["other_flops"]
    (latency,) = report["latency_ms_by_runtime"].values()
    assert report["latency_ms"] == latency
    assert (latency["runtime"], latency["threads"], latency["protocol"]) == ("litert", 1, PROTOCOL)
    assert latency["measured_by"].startswith("LiteRT 2.")
    assert 0 < latency["record"] <= latency["high"] and latency["p10"] <= latency["median"] <= latency["p90"]
    assert latency["runs"] >= 20


@pytest.mark.slow
def test_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert status(["--backbone", "custom_cnn", "--resolution", "16", "--no-top"]) == 0
    text = capsys.readouterr().out
    for part in ("without top", "parameters", "315,872", "Conv2D", "ms (± ", ", LiteRT, 1 thread, batch 1", "versions"):
        assert part in text
    assert "\x1b" not in text  # no colours in a pipe


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--backbone", "vgg18"], ("--backbone", "Received: vgg18", "Did you mean ")),
        (["--backbone", "vgg19", "--resolution", "16"], ("--resolution", "Received: 16", "Allowed: 32 to")),
        (["--backbone", "vgg19", "--resolution", "big"], ("--resolution", "'big' is not a valid integer")),
        (["--backbone", "vgg19", "--batch-size", "0"], ("--batch-size", "Received: 0", "Allowed: 1 to")),
        (["--bakbone", "vgg19"], ("--bakbone", "--backbone")),
        (["--backbone"], ("--backbone", "requires an argument")),
        (["vgg19"], ("vgg19", "unexpected")),
        ([], ("--backbone", "Received: nothing", "Allowed: ")),
    ],
)
def test_wrong_arguments_are_one_line(
    arguments: list[str], parts: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    for part in parts:
        assert part in captured.err


def test_errors_and_help_import_no_keras() -> None:
    for arguments in (["--backbone", "no"], ["--backbone", "vgg19", "--resolution", "8"]):
        code = f"import sys; from models.profile import command\ntry: command({arguments})\n"
        code += "except SystemExit: sys.exit('keras' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", code], stderr=subprocess.DEVNULL, check=False).returncode == 0
    assert _run("--help").returncode == 0
