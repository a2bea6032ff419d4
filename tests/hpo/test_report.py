"""The command that writes a report, against studies that were run."""

import dataclasses
import shutil

import pytest
from click.testing import CliRunner

from hpo.report import main
from hpo.reporting.assemble import run_command
from studies.storage import load_study
from tests.hpo.conftest import fake_facts


def report(config, *words):
    places = ["--storage", config.storage, "--out", str(config.out), "--cache-dir", str(config.cache_dir)]
    return CliRunner().invoke(main, [*words, *places])


def test_page_and_tables(configure, fakes):
    config = configure(trials=4)
    fakes.run(config)
    done = report(config, config.study_name, "--no-figures")
    assert done.exit_code == 0, done.output
    folder = config.study_dir / "report"
    assert {path.name for path in folder.iterdir()} == {"index.html", "tables"}
    assert {path.suffix for path in (folder / "tables").iterdir()} == {".md", ".tex", ".csv"}
    assert "index.html  5." in done.output or "index.html  4." in done.output
    assert (
        "missing: pictures of the data: the data here is not what study custom_cnn-digits was made with" in done.output
    )
    assert "custom_cnn on digits" in (folder / "index.html").read_text()


def test_only_failures_are_a_report_too(configure, fakes):
    def broken(jobs, until, alive, seconds):
        raise MemoryError("3 GiB & <more>")

    fakes.evaluate = broken
    config = configure(trials=2)
    fakes.run(config)
    done = report(config, config.study_name, "--no-figures", "--no-pictures")
    assert done.exit_code == 0, done.output
    assert "3 GiB &amp; &lt;more&gt;" in (config.study_dir / "report" / "index.html").read_text()


def test_several_studies_begin_with_their_comparison(configure, fakes):
    configs = [configure(trials=3), configure(trials=3, backbone="mobilenet_0.25", study="other")]
    for config in configs:
        fakes.run(config)
    done = report(configs[0], configs[0].study_name, "other", "--no-figures", "--no-pictures")
    assert done.exit_code == 0, done.output
    folder = configs[0].out / "report-digits"
    assert (folder / "tables" / "comparison-backbones.csv").is_file()
    assert (folder / "tables" / "other-models.tex").is_file()
    assert "Comparison of 2 studies" in (folder / "index.html").read_text()


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["nosuch"], "there is no study nosuch in "),
        ([], "Missing argument 'STUDY [STUDY ...]'"),
        (["first", "second"], "studies first and second cannot be compared: they differ in split"),
    ],
)
def test_mistakes_in_one_line(configure, names, said, fakes):
    fakes.run(configure(trials=1, study="first"))
    other = dataclasses.replace(fake_facts(configure()), split_digest="t" * 64)
    fakes.prepare = lambda config: other
    fakes.run(configure(trials=1, study="second"))
    done = report(configure(), *names)
    assert done.exit_code == 2
    assert done.output.startswith("error: ")
    assert said in done.output
    assert done.output.count("\n") == 1


def test_without_a_browser_one_line_says_so(configure, monkeypatch, tmp_path, fakes):
    config = configure(trials=1)
    fakes.run(config)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("BROWSER_PATH", str(tmp_path / "nothing"))
    done = report(config, config.study_name, "--pdf", "--no-pictures")
    assert done.exit_code == 0, done.output
    missing = [line for line in done.output.splitlines() if line.startswith("missing: ")]
    assert [line.split(":")[1].strip() for line in missing] == ["figures as files", "report.pdf"]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is missing: apt-get install chromium")
def test_the_page_on_paper(configure, fakes):
    config = configure(trials=1)
    fakes.run(config)
    done = report(config, config.study_name, "--pdf", "--no-figures", "--no-pictures")
    assert done.exit_code == 0, done.output
    assert "missing" not in done.output
    assert (config.study_dir / "report" / "report.pdf").read_bytes().startswith(b"%PDF")


def test_the_command_that_runs_it_again(configure, fakes):
    config = configure(trials=3, resolutions=(16, 24), skip_unreadable=True, study="my", augment="none,light")
    fakes.run(config)
    options = load_study(config.storage, "my").user_attrs["options"]
    assert run_command(options, "my") == (
        "python -m hpo.run --backbone custom_cnn --dataset digits --skip-unreadable --trials 3 --epochs 2 "
        "--resolutions 16,24 --stopping none --augment none,light --no-map "
        "--latency-runtime keras --study my"
    )
    assert run_command({}, "my").startswith("python -m hpo.run --study my")


def test_a_browser_that_fails_is_one_line(configure, monkeypatch, fakes):
    def broken(report, folder):
        raise TimeoutError("no answer\nfrom it")

    config = configure(trials=1)
    fakes.run(config)
    monkeypatch.setattr("studies.report.files.why_no_pictures", lambda: "")
    monkeypatch.setattr("studies.report.files.write_figures", broken)
    done = report(config, config.study_name, "--no-pictures")
    assert done.exit_code == 0, done.output
    assert "missing: figures as files: TimeoutError: no answer\n" in done.output
    assert (config.study_dir / "report" / "index.html").is_file()
