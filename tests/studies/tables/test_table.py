"""One table in its notations, with names that each of them could stumble over."""

import csv
import io
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from studies.tables.table import Column, Table, latex, of_texts, records_to_csv, to_csv

NASTY = (
    "<script>alert(1)</script>",
    "50% of $x_1$ & #2 ~^{}\\",
    "猫",
    'say "no" | `code`',
    "two\nlines",
    "=1+1",
    "[a](b)",
    "*star",
)


@pytest.fixture
def table():
    columns = (
        Column("class"),
        Column("accuracy (%)", lambda share: f"{100 * share:.1f}", True, parts=("accuracy",)),
        Column(
            "time (ms)",
            lambda found: f"{found[0]:g} ({found[1]:g}–{found[2]:g})",
            True,
            parts=("time_ms", "low_ms", "high_ms"),
        ),
        Column("remark", wide=True),
    )
    rows = tuple((name, 0.123456, (2.0, 1.5, 3.0), None) for name in NASTY)
    return Table("classes", "Shares of 100 % & more", columns, rows, frozenset({1}))


def test_csv_has_numbers_in_full(table):
    rows = list(csv.DictReader(io.StringIO(table.to_csv())))
    assert list(rows[0]) == ["class", "accuracy", "time_ms", "low_ms", "high_ms", "remark"]
    assert rows[1]["class"] == NASTY[1]
    assert rows[4]["class"] == "two?lines"
    assert (rows[0]["accuracy"], rows[0]["low_ms"], rows[0]["remark"]) == ("0.123456", "1.5", "")


def test_html_is_escaped(table):
    html = table.to_html()
    assert "<script>" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert '<tr class="marked"><th scope="row">50% of' in html
    interval = '<span class="whole">(1.5–3)</span>'
    assert f'<td class="number">12.3</td><td class="number">2 {interval}</td><td class="wide">–</td>' in html


@pytest.mark.parametrize(("n", "start"), [(9, "<table aria-label="), (10, '<table class="many" aria-label=')])
def test_a_table_of_many_columns_is_set_closer(n, start):
    columns = tuple(Column(f"column {number}") for number in range(n))
    assert Table("a", "b", columns, (("",) * n,)).to_html().startswith(start)


def test_markdown_keeps_its_columns(table):
    lines = table.to_markdown().splitlines()
    assert lines[0] == "Shares of 100 % & more"
    assert lines[2:4] == ["| class | accuracy (%) | time (ms) | remark |", "| --- | ---: | ---: | --- |"]
    assert lines[4].startswith(r"| \<script\>alert(1)\</script\> | 12.3 |")
    assert r"say " in lines[7] and r"\| \`code\`" in lines[7]
    assert len(lines) == 4 + len(NASTY)


def test_markdown_leaves_underscores_within_words():
    table = Table("t", "lr_schedule", (Column("a"),), (("_x_",),))
    assert table.to_markdown().splitlines()[0] == "lr_schedule"
    assert table.to_markdown().splitlines()[-1] == r"| \_x\_ |"


def test_latex_is_escaped(table):
    latex = table.to_latex()
    assert r"50\% of \$x\_1\$ \& \#2 \textasciitilde{}\textasciicircum{}\{\}\textbackslash{}" in latex
    assert r"\toprule" in latex and r"\midrule" in latex and r"\bottomrule" in latex
    assert r"\begin{tabular}{@{}lrr>{\raggedright\arraybackslash}p{0.28\linewidth}@{}}" in latex
    assert r"\label{tab:classes}" in latex
    assert r"\label{tab:one-classes}" in table.to_latex("one-classes")


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("5 % of R&D_x #1 $", r"5 \% of R\&D\_x \#1 \$"),
        (r"a\b{c}", r"a\textbackslash{}b\{c\}"),
        ("x^2~y <z> a|b", r"x\textasciicircum{}2\textasciitilde{}y \textless{}z\textgreater{} a\textbar{}b"),
        ("0.91-0.95", "0.91--0.95"),
        ("test-split", "test-split"),
        ("Käse", "Käse"),
    ],
)
def test_latex_letters(text, escaped):
    assert latex(text) == escaped


def test_a_row_has_a_cell_for_each_column():
    with pytest.raises(ValueError, match="rows of table t must have 1 cells. Received: 2"):
        Table("t", "", (Column("a"),), ((1, 2),))


def test_ready_texts_and_records():
    table = of_texts("t", "caption", ("name", "number"), [("a|b", "1.5"), ("c", "2")], left=("name",))
    assert table.to_markdown_rows() == "| name | number |\n| --- | ---: |\n| a\\|b | 1.5 |\n| c | 2 |\n"
    assert table.to_csv() == "name,number\na|b,1.5\nc,2\n"
    assert to_csv(["x", "y"], [(1, None), ("a,b", True)]) == 'x,y\n1,\n"a,b",True\n'
    assert records_to_csv([{"x": 1, "y": 2}, {"y": 4, "x": 3}]) == "x,y\n1,2\n3,4\n"
    assert records_to_csv([], ["x", "y"]) == "x,y\n"


@pytest.mark.parametrize("text", ["=1+1", "+a", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", '=HYPERLINK("x")'])
def test_no_text_is_a_formula_for_a_spreadsheet(text):
    heads, row = csv.reader(io.StringIO(to_csv([text, "b"], [[text, Path(text)]]), newline=""))
    shown = "'" + text.replace("\r", "\n")
    assert heads == [shown, "b"]
    assert row == [shown, shown]


def test_numbers_and_ordinary_texts_are_as_they_are():
    cells = [-1.5, np.float32(-2), np.int64(-3), None, "-1.5", "+0.2 %", "a=b", "–", "it's"]
    assert to_csv(["x"] * len(cells), [cells]).splitlines()[1] == "-1.5,-2.0,-3,,-1.5,+0.2 %,a=b,–,it's"


def compiles(program, body, folder):
    (folder / "t.tex").write_text(
        f"\\documentclass{{article}}\\usepackage{{booktabs,graphicx,array,longtable}}\\begin{{document}}\n{body}\\end{{document}}\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [program, "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "t.tex"],
        cwd=folder, capture_output=True, text=True, errors="replace", timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]
    assert (folder / "t.pdf").stat().st_size > 1000
    assert "Overfull" not in done.stdout


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is missing: apt-get install texlive-latex-base")
def test_latex_compiles(tmp_path, table):
    latin = Table(table.name, table.caption, table.columns, table.rows[:2] + table.rows[3:4] + table.rows[5:])
    compiles("pdflatex", latin.to_latex(), tmp_path)
    long = Table("long", "", (Column("a number of pictures"), *table.columns[1:]), latin.rows * 40)
    compiles("pdflatex", long.to_latex(), tmp_path)


@pytest.mark.skipif(shutil.which("lualatex") is None, reason="lualatex is missing: apt-get install texlive-luatex")
def test_latex_compiles_with_any_name(tmp_path, table):
    compiles("lualatex", table.to_latex(), tmp_path)
