"""Names below the folder of results, and files that are written whole or not at all."""

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from studies import paths
from studies.errors import StudyRefused
from studies.paths import (
    RunFiles,
    StudyFiles,
    TrialFiles,
    comparison,
    in_one_step,
    is_special,
    joint_report,
    map_of,
    study_files,
    write_arrays,
    write_bytes,
    write_text,
    write_where_told,
)

FILES = StudyFiles(Path("runs") / "net-data")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (FILES.lock, "runs/net-data/.lock"),
        (FILES.worker_log, "runs/net-data/worker.log"),
        (FILES.trial(7).outcome, "runs/net-data/trials/00007.json"),
        (FILES.trial(7).error, "runs/net-data/trials/00007.error.txt"),
        (FILES.trial(7).progress, "runs/net-data/trials/00007.progress"),
        (paths.checkpoints(FILES.trials), "runs/net-data/trials/checkpoints"),
        (FILES.model("3"), "runs/net-data/final/3"),
        (FILES.run("baseline", 2).model, "runs/net-data/final/baseline/seed-2/model.keras"),
        (FILES.run("3", 0).result, "runs/net-data/final/3/seed-0/result.json"),
        (FILES.run("3", 0).predictions, "runs/net-data/final/3/seed-0/predictions.npz"),
        (FILES.run("3", 0).error, "runs/net-data/final/3/seed-0/error.txt"),
        (FILES.exports("3"), "runs/net-data/exports/trial-3"),
        (FILES.exports("baseline"), "runs/net-data/exports/baseline"),
        (FILES.report, "runs/net-data/report"),
        (paths.artifacts(Path("runs")), "runs/artifacts"),
        (paths.comparison(Path("runs"), "digits"), "runs/comparison-digits"),
        (paths.joint_report(Path("runs"), "digits"), "runs/report-digits"),
    ],
)
def test_names_are_those_that_databases_and_readme_know(path, expected):
    assert path.as_posix() == expected


def test_a_models_name():
    assert [paths.name_of(label) for label in ("7", "baseline")] == ["trial 7", "baseline"]


def test_runs_are_those_with_a_result(tmp_path):
    files = StudyFiles(tmp_path)
    assert files.runs() == []
    for label, seed in (("3", 1), ("3", 0), ("baseline", 0)):
        write_text(files.run(label, seed).result, "{}")
    files.run("9", 0).folder.mkdir(parents=True)
    assert files.runs() == [files.run("3", 0), files.run("3", 1), files.run("baseline", 0)]
    assert isinstance(files.runs()[0], RunFiles)
    assert files.trial(1) == TrialFiles(tmp_path / "trials", 1)


def test_texts_bytes_and_arrays_come_back(tmp_path):
    write_text(tmp_path / "a" / "b.txt", "grün\n")
    write_bytes(tmp_path / "c.png", b"\x00\xff")
    write_arrays(tmp_path / "d.npz", x=np.arange(3), y=np.eye(2))
    assert (tmp_path / "a" / "b.txt").read_bytes() == "grün\n".encode()
    assert (tmp_path / "c.png").read_bytes() == b"\x00\xff"
    with np.load(tmp_path / "d.npz", allow_pickle=False) as stored:
        assert stored["x"].tolist() == [0, 1, 2]
        assert stored["y"].tolist() == [[1, 0], [0, 1]]
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["b.txt", "c.png", "d.npz"]


@pytest.mark.parametrize("name", ["../../escape", "..", ".", "", "a/b", "a\\b", "/etc", "a\nb", "x\0"])
@pytest.mark.parametrize("make", [study_files, comparison, map_of, joint_report])
def test_no_name_leads_out_of_the_folder_of_results(tmp_path, make, name):
    with pytest.raises(
        StudyRefused, match=r"^the database has the name '.*', which cannot be that of a folder"
    ) as error:
        make(tmp_path, name)
    assert str(error.value).isprintable()


def test_names_are_folders_of_results(tmp_path):
    assert study_files(tmp_path, "custom_cnn-digits.2").folder == tmp_path / "custom_cnn-digits.2"
    assert comparison(tmp_path, "Käfer") == tmp_path / "comparison-Käfer"


def test_a_file_that_is_named_may_be_a_link(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link.csv").symlink_to(tmp_path / "there" / "table.csv")
    for text in ("first", "second"):
        write_where_told(tmp_path / "link.csv", text)
        assert (tmp_path / "link.csv").is_symlink()
        assert (tmp_path / "there" / "table.csv").read_text() == text
    write_text(tmp_path / "link.csv", "ours")  # a name of ours: nobody else decides where it leads
    assert not (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "there" / "table.csv").read_text() == "second"


def test_what_is_no_file_is_written_to_as_it_is(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert is_special(pipe) and not is_special(tmp_path) and not is_special(tmp_path / "none")
    with ThreadPoolExecutor() as pool:
        reader = pool.submit(pipe.read_text)
        write_where_told(pipe, "a table")
        assert reader.result(timeout=10) == "a table"
    assert pipe.is_fifo()


def test_no_name_to_be_can_be_foreseen(tmp_path):
    """Nor is a link at such a name followed: it would have to be there before."""
    names = set()
    for _ in range(3):
        with in_one_step(tmp_path / "x.json") as part:
            names.add(part.name)
            assert part.is_file() and part.stat().st_size == 0
            part.write_text("{}")
    assert len(names) == 3


def test_what_was_there_stays_when_writing_fails(tmp_path):
    path = tmp_path / "front.png"
    write_bytes(path, b"old")
    with pytest.raises(OSError, match="no space"), in_one_step(path) as part:
        assert part.suffix == ".png"  # whoever draws goes by the ending
        part.write_bytes(b"ne")
        raise OSError("no space")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_names_the_file_that_was_to_be_written(tmp_path):
    """A full disk does not, nor would the name of the part say anything to anybody."""
    path = tmp_path / "page.html"
    with pytest.raises(OSError) as full, in_one_step(path):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert full.value.filename == str(path)
    with pytest.raises(OSError) as refused, in_one_step(path) as part:
        raise OSError(errno.EACCES, "Permission denied", str(part))
    assert refused.value.filename == str(path)
    with pytest.raises(OSError) as other, in_one_step(path):
        raise OSError(errno.ENOENT, "No such file or directory", "elsewhere")
    assert other.value.filename == "elsewhere"
    assert list(tmp_path.iterdir()) == []
