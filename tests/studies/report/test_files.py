"""Tables and figures as files, with and without a browser."""

import shutil
import subprocess

import pytest

from studies.report import files
from studies.report.blocks import Chapter, Picture, Pictures, Report, Section, Text
from studies.report.chapters import chapter


def test_every_table_in_three_notations(make_material, curved):
    report = Report("t", "", (chapter(make_material(curved)),))
    names = set(files.table_texts(report))
    assert names == {
        f"{stem}.{kind}" for stem in ("space", "models", "front", "trials") for kind in ("md", "tex", "csv")
    }


def test_pictures_are_numbered_in_their_section():
    one, two = Picture(b"1", "", ""), Picture(b"2", "", "")
    sections = (Section("looks", "t", (Pictures((one, two), 1, 1), Text("x"), Pictures((one,), 1, 1))),)
    report = Report("t", "", (Chapter("a", "t", sections), Chapter("", "t", sections[:1])))
    names = [f"{name}-{number}.png" for name in ("a-looks", "looks") for number in (1, 2, 3)]
    assert files.pictures(report) == dict(zip(names, [b"1", b"2", b"1"] * 2, strict=True))


def test_the_browser_is_named_or_found(monkeypatch, tmp_path):
    program = tmp_path / "chromium"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("BROWSER_PATH", raising=False)
    assert files.find_browser() == str(program)
    monkeypatch.setenv("BROWSER_PATH", str(tmp_path / "nothing"))
    assert files.find_browser() is None


def test_what_is_missing_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("BROWSER_PATH", raising=False)
    why = files.why_no_pictures()
    assert "kaleido" in why or "Chromium" in why
    assert "\n" not in why


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is missing: apt-get install chromium")
def test_figures_are_drawn(make_material, curved, tmp_path):
    pytest.importorskip("kaleido", reason="kaleido is missing: extra report")
    found = chapter(make_material(curved))
    few = tuple(section for section in found.sections if section.name == "progress")
    written = files.write_figures(Report("t", "", (type(found)("", "", few),)), tmp_path)
    assert len(written) == 6
    assert {path.suffix for path in written} == {".png", ".svg", ".pdf"}
    starts = {".png": b"\x89PNG", ".svg": b"<svg", ".pdf": b"%PDF"}
    assert all(path.read_bytes().startswith(starts[path.suffix]) for path in written)


LATEX = r"""\documentclass{article}
\usepackage[T1]{fontenc}\usepackage{lmodern,booktabs,graphicx,array,longtable}
\begin{document}%s\end{document}
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is missing: apt-get install texlive-latex-base")
@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="pdftotext is missing: apt-get install poppler-utils")
def test_compiled_tables_say_what_the_page_says(evaluated, tmp_path):
    if subprocess.run(["kpsewhich", "booktabs.sty", "lmodern.sty"], capture_output=True).stdout.count(b"\n") < 2:
        pytest.skip("booktabs or lmodern is missing: apt-get install texlive-latex-recommended lmodern")
    tables = list(chapter(evaluated()).tables())
    (tmp_path / "all.tex").write_text(LATEX % "\\clearpage ".join(table.to_latex(stem) for stem, table in tables))
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"], cwd=tmp_path, capture_output=True
    )
    assert done.returncode == 0, done.stdout[-2000:].decode(errors="replace")
    text = subprocess.run(["pdftotext", "-raw", "all.pdf", "-"], cwd=tmp_path, capture_output=True).stdout.decode()
    words = set(text.replace("\u2013", "-").replace("\u2019", "'").split())
    for _, table in tables:
        for row in table.texts():
            for cell in row:  # words at the end of a line may be hyphenated: at least numbers are whole
                numbers = [word for word in cell.replace("\u2013", "-").split() if word[0].isdigit()]
                assert set(numbers) <= words, (table.name, cell)
