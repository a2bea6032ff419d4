"""The dashboard on a study's database: this machine only, and its mistakes in one line."""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urljoin

import pytest
from click.testing import CliRunner
from PIL import Image
from plotly import graph_objects

from hpo.dashboard import main
from hpo.reporting.dashboard import STYLE, fitted
from studies.artifacts import annotate, attach, attached, show
from studies.records import read_study
from studies.storage import load_study
from tests.browser import screenshots  # noqa: F401  (fixture)

ROOT = Path(__file__).parent.parent.parent
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def serving(*words):
    """The command as a process: its address with the token, and what opens pages as a browser does."""
    port = free_port()
    command = [sys.executable, "-u", "-m", "hpo.dashboard", *map(str, words), "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=os.environ) as server:
        try:
            address = re.search(r"http://\S+", server.stdout.readline())[0]
            opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
            yield address, opener
        finally:
            server.terminate()
            try:
                server.wait(20)
            finally:
                server.kill()


def get(address, opener, path):
    end = time.monotonic() + 30
    while True:
        try:
            opener.open(address, timeout=10).close()
            with opener.open(urljoin(address, path), timeout=10) as answer:
                return json.load(answer)
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def delete(address, opener, number):
    home = urljoin(address, "/").rstrip("/")
    request = urllib.request.Request(
        f"{home}/api/studies/{number}", method="DELETE", data=b"{}", headers={"Origin": home}
    )
    opener.open(request, timeout=10).close()


@pytest.mark.slow
def test_it_shows_the_study_and_disturbs_nothing(configure, fakes):
    config = configure(trials=3, max_latency_ms=3.0)
    fakes.run(config)
    with serving("--live", "--storage", config.storage) as where:
        (summary,) = get(*where, "/api/studies")["study_summaries"]
        study = get(*where, f"/api/studies/{summary['study_id']}?after=0")
        assert study["objective_names"] == ["val_accuracy (share right)", "latency (ms)", "FLOPs"]
        states = [(trial["state"], trial["constraints"]) for trial in study["trials"][:3]]
        assert [state for state, _ in states] == ["Pruned", "Complete", "Pruned"]
        assert states[0][1] == [pytest.approx(0.2)]
        # and the study goes on while it is open
        records = fakes.run(configure(trials=5, max_latency_ms=3.0))
        assert sum(record.counts for record in records) == 5
        with pytest.raises(HTTPError, match="403"):
            delete(*where, summary["study_id"])
        with pytest.raises(HTTPError, match="403"):
            urllib.request.urlopen(urljoin(where[0], "/api/studies"), timeout=10)  # without the token
    with serving("--live", "--allow-changes", "--storage", config.storage) as where:
        get(*where, "/api/studies")
        delete(*where, summary["study_id"])
        assert get(*where, "/api/studies")["study_summaries"] == []


@pytest.mark.slow
def test_by_default_it_shows_a_copy_that_can_be_deleted_from(configure, tmp_path, fakes):
    config = configure(trials=2)
    fakes.run(config)
    study = load_study(config.storage, config.study_name)
    picture = tmp_path / "confusion.png"
    picture.write_bytes(b"png")
    attach(study, config.out, picture, number=0)
    annotate(study, "what was found")
    with serving("--storage", config.storage, "--out", config.out) as where:
        (summary,) = get(*where, "/api/studies")["study_summaries"]
        shown = get(*where, f"/api/studies/{summary['study_id']}?after=0")
        assert shown["note"]["body"] == "what was found"
        (artifact,) = shown["trials"][0]["artifacts"]
        assert artifact["filename"] == "confusion.png"
        place = f"/artifacts/{summary['study_id']}/{shown['trials'][0]['trial_id']}/{artifact['artifact_id']}"
        with where[1].open(urljoin(where[0], place), timeout=10) as answer:
            assert answer.read() == b"png"
        delete(*where, summary["study_id"])
        assert get(*where, "/api/studies")["study_summaries"] == []
    study = load_study(config.storage, config.study_name)
    assert len(read_study(study)) >= 2
    assert attached(study, 0) == ["confusion.png"]
    assert [path.read_bytes() for path in (config.out / "artifacts").iterdir()] == [b"png"]


@pytest.mark.slow
def test_in_a_browser_it_shows_objectives_notes_figures_and_files(configure, tmp_path, fakes, screenshots):  # noqa: F811
    driver = pytest.importorskip("playwright.sync_api", reason="playwright is missing: extra browser")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is missing: apt-get install chromium")
    config = configure(trials=3)
    fakes.run(config)
    fakes.run(configure(trials=2, study="other"))
    study = load_study(config.storage, config.study_name)
    picture = tmp_path / "confusion.png"
    Image.new("RGB", (40, 40), "red").save(picture)
    attach(study, config.out, picture, number=0)
    annotate(study, "## Final evaluation")
    show(study, {"hypervolume": graph_objects.Figure(layout_title_text="dominated hypervolume")})
    with serving("--storage", config.storage, "--out", config.out) as where:
        ids = {one["study_name"]: one["study_id"] for one in get(*where, "/api/studies")["study_summaries"]}
        home = urljoin(where[0], f"/dashboard/studies/{ids.pop(config.study_name)}")
        with driver.sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            tab, wrong = browser.new_page(viewport={"width": 1280, "height": 900}), []
            tab.on("pageerror", lambda error: wrong.append(str(error)))
            tab.goto(where[0])
            for place, text in (
                ("", "val_accuracy (share right)"),
                ("", "latency (ms)"),
                ("", "dominated hypervolume"),
                ("/note", "Final evaluation"),
                ("/trials?numbers=0", "unfreeze_depth"),
                ("/trials?numbers=0", "confusion.png"),
                ("/trials?numbers=0", "It was trained to the end: validation accuracy"),
            ):
                tab.goto(home + place)
                tab.get_by_text(text).first.wait_for(timeout=30_000)
                assert tab.evaluate("document.documentElement.scrollWidth") == 1280
                tab.screenshot(path=screenshots / f"dashboard{place.replace('/', '-').partition('?')[0]}.png")
            compared = f"/dashboard/compare-studies?ids={home.rsplit('/')[-1]},{ids['other']}"
            tab.goto(urljoin(where[0], compared))
            tab.get_by_text("other").first.wait_for(timeout=30_000)
            tab.wait_for_timeout(1_000)
            assert tab.evaluate("document.documentElement.scrollWidth") == 1280
            tab.screenshot(path=screenshots / "dashboard-comparison.png")
            tab.goto(f"{home}/trials?numbers=0")
            tab.get_by_text("unfreeze_depth").first.wait_for(timeout=30_000)
            assert tab.get_by_text("learning_curve").count() == 0  # it is a table in the note
            assert wrong == []
            browser.close()


def test_changes_are_allowed_of_the_database_itself(configure):
    done = CliRunner().invoke(main, ["--storage", configure().storage, "--allow-changes"])
    assert done.exit_code == 2
    assert "--allow-changes goes with --live alone: a copy can be changed as it is" in done.output


def test_without_a_database(configure):
    done = CliRunner().invoke(main, ["--storage", configure().storage])
    assert (done.exit_code, done.output.count("\n")) == (2, 1)
    assert done.output.startswith("error: there is no database at ")


def test_a_port_in_use(configure, fakes):
    config = configure(trials=1)
    fakes.run(config)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = CliRunner().invoke(main, ["--storage", config.storage, "--port", str(port)])
    assert done.exit_code == 2
    assert f"--port must be a free port. Received: {port}" in done.output


def test_pages_are_fitted_and_all_else_is_passed_on():
    def app(environ, start):
        start("200 OK", [("Content-Type", environ["kind"]), ("Content-Length", "13"), ("X-Other", "1")])
        return [b"<head>", b"</head>"]

    def ask(kind):
        told = []
        return b"".join(fitted(app)({"kind": kind}, lambda *answer: told.extend(answer))), dict(told[1])

    page, headers = ask("text/html; charset=UTF-8")
    assert page == b"<head>" + STYLE + b"</head>"
    assert headers == {"Content-Type": "text/html; charset=UTF-8", "X-Other": "1", "Content-Length": str(len(page))}
    assert ask("application/json")[0] == b"<head></head>"
