"""The page: its structure, that nothing gets in or out, and how a real browser takes it."""

import html.parser
import json

import plotly.graph_objects as go
import pytest

from studies.records import State, TrialRecord
from studies.report.blocks import Chart, Picture, Report
from studies.report.chapters import chapter
from studies.report.gallery import Gallery, ModelPictures
from studies.report.page import chart_json, policy, render, running_title
from tests.browser import OVERLAPS

NASTY = ("<script>alert(1)</script>", "猫 & 狗 $x$", "</script><img src=x onerror=alert(2)>")


class Page(html.parser.HTMLParser):
    """What there is: elements with attributes, the text outside scripts, the scripts."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.text, self.scripts, self._inside = [], "", [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        self._inside = None

    def handle_data(self, data):
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside != "style":
            self.text += data

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]


def report(*materials, gallery=None):
    several = len(materials) > 1
    chapters = tuple(chapter(one, gallery or Gallery(), one.name if several else "") for one in materials)
    return Report("custom_cnn on digits", "Study of a test", chapters)


@pytest.fixture
def nasty(evaluated):
    pictures = tuple(Picture(b"\x89PNG", f"a picture of {name}", name) for name in NASTY)
    of_model = ModelPictures(pictures, "Mistakes.", pictures, "Looks.")
    gallery = Gallery(NASTY, (3, 2, 1), pictures, "Samples.", {"1": of_model, "2": of_model})
    return report(evaluated(NASTY), gallery=gallery)


def test_the_structure_is_sound(nasty):
    page = Page(render(nasty))
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    links = [attrs["href"] for attrs in page.all("a")]
    assert len(links) == 14
    assert all(link.startswith("#") and link[1:] in ids for link in links)
    assert all(attrs.get("alt") for attrs in page.all("img"))
    charts = [attrs for attrs in page.all("div") if attrs.get("class") == "plot"]
    data = [attrs for attrs in page.all("script") if attrs.get("type") == "application/json"]
    assert len(charts) == len(data) > 10
    assert {attrs["data-for"] for attrs in data} == {attrs["id"] for attrs in charts}
    assert all(attrs["aria-label"] for attrs in charts)
    assert [tag for tag, _ in page.elements].count("h1") == 1


def test_nothing_is_fetched(nasty):
    page = Page(render(nasty))
    for tag, attrs in page.elements:
        assert attrs.get("src", "data:").startswith("data:"), (tag, attrs)
        assert attrs.get("href", "#").startswith(("#", "data:,")), (tag, attrs)
        assert not {"action", "srcset", "data", "ping"} & set(attrs), (tag, attrs)


def test_names_stay_names(nasty):
    page = Page(render(nasty))
    assert len([attrs for attrs in page.all("script") if not attrs]) == 2
    assert len(page.all("img")) == 15  # samples, then mistakes and looks of two models
    assert all(name in page.text for name in NASTY)
    for place, attrs in enumerate(page.all("script")):
        if attrs.get("type") == "application/json":
            assert json.loads(page.scripts[place])["data"]


def test_only_our_scripts_may_run(nasty):
    page = Page(render(nasty))
    (rule,) = [a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    ours = [page.scripts[place] for place, attrs in enumerate(page.all("script")) if not attrs]
    assert rule == policy(*ours)
    assert "default-src 'none'" in rule and "unsafe-eval" not in rule
    assert not [name for _, attrs in page.elements for name in attrs if name.startswith("on")]


def test_several_studies_share_a_page(make_material, curved):
    one, two = make_material(curved, name="one"), make_material(curved, name="two+1.5")
    page = Page(render(report(one, two)))
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert all(attrs["href"][1:] in ids for attrs in page.all("a"))


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_in_a_browser(visit, nasty, width):
    tab, wrong, requests = visit(nasty, width)
    assert wrong == [] and requests == []
    n_charts = tab.locator(".plot").count()
    assert tab.locator("body").get_attribute("data-drawn") == str(n_charts)
    assert tab.locator(".plot .main-svg").count() >= n_charts
    assert tab.evaluate("document.documentElement.scrollWidth") == width  # nothing makes the page itself scroll
    assert tab.evaluate(OVERLAPS) == []
    ticks = tab.locator("#confusion_1 .ytick text").all_text_contents()
    assert ticks == [f"{NASTY[0][:10]}…{NASTY[0][-7:]}", NASTY[1], f"{NASTY[2][:10]}…{NASTY[2][-7:]}"]
    tab.locator("#accuracy_latency .scatterlayer .point").first.scroll_into_view_if_needed()
    box = tab.locator("#accuracy_latency .scatterlayer .trace .point").first.bounding_box()
    tab.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    tab.wait_for_selector("#accuracy_latency .hoverlayer .hovertext", timeout=5_000)
    assert "trial" in tab.locator("#accuracy_latency .hoverlayer .hovertext").first.text_content()
    tab.close()


@pytest.mark.slow
def test_hard_cases_in_a_browser(visit, make_material, make_record):
    """One trial, only failures, ties and 500 trials, all on one page on a phone."""
    failed = [TrialRecord(n, State.FAILED, None, reason="<img src=x>") for n in range(3)]
    spread = [make_record(n, 0.5 + (n * 37 % 100) / 250, 1 + (n * 17 % 90) / 9, 5 + n * 29 % 97) for n in range(500)]
    cases = {
        "one": [make_record(0, 0.8, 1.0, 10)],
        "failures": failed,
        "ties": [make_record(number, 0.7, 1.0, 10) for number in range(12)],
        "many": spread,
    }
    studies = [make_material(records, name=name) for name, records in cases.items()]
    tab, wrong, requests = visit(report(*studies), 390)
    assert wrong == [] and requests == []
    assert tab.locator("body").get_attribute("data-drawn") == str(tab.locator(".plot").count())
    assert tab.evaluate("document.documentElement.scrollWidth") == 390
    assert tab.evaluate(OVERLAPS) == []
    empty = "[...document.querySelectorAll('section')].filter(s => s.children.length < 2).map(s => s.id)"
    assert tab.evaluate(empty) == []
    tab.close()


def test_a_title_cannot_leave_the_stylesheet():
    assert running_title('a"} </style>') == (
        '@page { @top-left { content: "a\\000022\\00007d\\000020\\00003c\\00002fstyle\\00003e" } }\n'
    )


@pytest.mark.parametrize(("trace", "has_tools"), [(go.Bar(x=[1], y=["a"]), False), (go.Scatter(x=[1], y=[1]), True)])
def test_tools_do_not_lie_over_bars(trace, has_tools):
    config = json.loads(chart_json(Chart("name", "", "", go.Figure(trace))))["config"]
    assert config.get("displayModeBar", True) is has_tools
