"""docs/notebook.ipynb runs from its first cell to its last, and is kept without outputs."""

import json
import os
from pathlib import Path

import pytest

from tests.places import cache_in

ROOT = Path(__file__).parent.parent
NOTEBOOK = ROOT / "docs" / "notebook.ipynb"
# What makes it small: in place of a text in a cell.
SMALL = {
    'dataset="digits")': 'dataset="digits", trials=3, epochs=1, train_size=100, val_size=50, cache_dir="cache")',
    'pick="few", seeds=3': "trials=[0], seeds=1",
}


def test_it_is_kept_without_outputs():
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)


@pytest.mark.slow
def test_it_runs(tmp_path, monkeypatch):
    nbformat = pytest.importorskip("nbformat", reason="the extra notebook is not installed")
    nbclient = pytest.importorskip("nbclient", reason="the extra notebook is not installed")
    for package in ("ipykernel", "pandas"):
        pytest.importorskip(package, reason="the extra notebook is not installed")
    text = NOTEBOOK.read_text(encoding="utf-8")
    for words, instead in SMALL.items():
        words, instead = json.dumps(words)[1:-1], json.dumps(instead)[1:-1]
        assert words in text
        text = text.replace(words, instead)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]))
    monkeypatch.setenv("HPO_CACHE_DIR", str(cache_in(tmp_path)))
    notebook = nbformat.reads(text, as_version=4)
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    kinds = {kind for output in shown for kind in output.get("data", ())}
    assert {"image/png", "text/html"} <= kinds
    assert not any(output["output_type"] == "error" for output in shown)
    assert any("Pareto front of custom_cnn-digits" in output.get("data", {}).get("text/html", "") for output in shown)
    assert (tmp_path / "runs/custom_cnn-digits/report/index.html").is_file()
    if folder := os.environ.get("HPO_KEEP_NOTEBOOK"):  # to look at it
        nbformat.write(notebook, Path(folder) / "notebook.ipynb")
