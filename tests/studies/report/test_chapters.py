"""Which sections a study has, and what is in them."""

from dataclasses import replace

import pytest

from studies.records import State, TrialRecord
from studies.report.blocks import Facts, Text
from studies.report.chapters import chapter
from studies.report.importance import Importances
from studies.tables.table import Table
from tests import made

EVERY = (
    "summary", "setup", "models", "front", "progress", "importance", "parallel", "stopping", "tests", "mistakes",
    "loading", "reproducing", "trials",
)  # fmt: skip


def texts(section):
    return " ".join(block.text for block in section.blocks if isinstance(block, Text))


def sections(material, name=""):
    return {section.name: section for section in chapter(material, name=name).sections}


def test_an_evaluated_study_has_every_section(evaluated):
    found = chapter(evaluated())
    assert tuple(section.name for section in found.sections) == EVERY
    assert all(section.blocks for section in found.sections)
    names = [stem for stem, _ in found.tables()]
    assert names == ["space", "models", "front", "evaluated", "classes", "mistakes_1", "mistakes_2", "trials"]
    stems = [stem for stem, _ in found.charts()]
    assert len(stems) == len(set(stems))
    assert {"bars_flops", "curves_loss", "accuracy_latency_flops", "confusion_1", "confusion_2"} <= set(stems)
    assert all(chart.alt and chart.caption for _, chart in found.charts())


def test_names_of_several_chapters_do_not_meet(make_material, curved):
    stems = [stem for name in ("one", "two") for stem, _ in chapter(make_material(curved), name=name).charts()]
    assert len(stems) == len(set(stems))
    assert stems[0] == "one-bars_accuracy"


def test_before_the_evaluation_one_sentence_says_what_to_run(make_material, curved):
    found = sections(make_material(curved))
    assert "mistakes" not in found and "saliency" not in found
    assert texts(found["tests"]) == (
        "There are no test results yet: run `python -m hpo.evaluate custom_cnn-digits` and then make this report again."
    )
    assert "`python -m hpo.evaluate custom_cnn-digits`" in texts(found["loading"])


def test_only_failures(make_material):
    found = sections(make_material([TrialRecord(n, State.FAILED, None, reason="out of memory") for n in range(3)]))
    assert list(found) == ["summary", "setup", "reproducing", "trials"]
    assert texts(found["trials"]) == "3 trials: 3 failed."


def test_one_trial(make_material, make_record):
    found = sections(make_material([make_record(0, 0.8, 1.0, 10)]))
    assert "progress" not in found and "parallel" not in found
    assert texts(found["stopping"]) == "No trial was stopped early: all 3 epochs were trained."


def test_savings_are_called_an_estimate(make_material, curved):
    said = texts(sections(make_material(curved))["stopping"])
    assert said.startswith(
        "Of the 20 epochs that all candidates together would have taken, 14 were trained: 1 trial stopped at a rung by "
        "the rule dominance and 1 duplicate not repeated."
    )
    assert "This is an estimate" in said


@pytest.mark.parametrize(("shares", "n_charts"), [({"flops": {"resolution": 0.9, "dropout": 0.1}}, 1), ({}, 0)])
def test_importance(make_material, curved, shares, n_charts):
    section = sections(make_material(curved, importances=Importances(shares, "too few", 0.5)))["importance"]
    assert len(section.blocks) == 1 + n_charts
    assert ("resolution for FLOPs" if n_charts else "Too few.") in texts(section)


def test_how_to_reproduce(evaluated):
    section = sections(evaluated())["reproducing"]
    assert section.blocks[1].text.splitlines()[1:] == [
        "python -m hpo.evaluate custom_cnn-digits --trials 2,1 --seeds 2",
        "python -m hpo.report custom_cnn-digits",
    ]
    assert ("data set", "d" * 64) in section.blocks[2].pairs


def test_the_section_on_models_is_named_after_what_is_in_it(make_material, curved):
    def title(records, **changes):
        return sections(make_material(records, **changes))["models"].title

    own = {"options": {"weights": "somewhere/mine.weights.h5"}}
    scratch = {"fingerprint": made.fingerprint(weights="none")}
    assert title(curved) == "Pretrained against customised models"
    assert title(curved[1:3]) == "Customised models"
    assert title(curved[:1]) == "Frozen models"
    assert title(curved, **own) == "Frozen mine.weights.h5 against customised models"
    assert title(curved[1:3], **scratch) == "Models trained from scratch"
    (table,) = [block for block in sections(make_material(curved[1:3], **scratch))["models"].blocks
                if isinstance(block, Table)]  # fmt: skip
    assert table.caption.startswith("Models trained from scratch, custom_cnn on digits;")


def test_how_many_pictures_were_used(evaluated):
    found = sections(evaluated())
    assert "retrained on 150 training and validation pictures together and tested once on 30 pictures" in texts(
        found["tests"]
    )


def test_weights_of_a_file_stand_under_its_name(make_material, curved):
    found = sections(make_material(curved, options={"weights": "somewhere/mine.weights.h5"}))
    facts = next(block for block in found["setup"].blocks if isinstance(block, Facts))
    assert dict(facts.pairs)["weights"].startswith("mine.weights.h5, SHA-256 ")
    assert "against the baseline of mine.weights.h5 (trial 0" in found["summary"].blocks[0].items[1]


@pytest.mark.parametrize(
    ("asked", "found", "named"),
    [("auto", None, "tpe"), ("auto", made.network_map(made.probe()), "planner"), ("random", None, "random")],
)
def test_the_sampler_that_was_taken_is_named(make_material, curved, asked, found, named):
    material = replace(make_material(curved, options={"sampler": asked}), map=found)
    facts = next(block for block in sections(material)["setup"].blocks if isinstance(block, Facts))
    assert dict(facts.pairs)["sampler"] == f"{named}, seed 7"


def test_from_scratch_nothing_is_said_of_a_frozen_network(make_material, curved):
    assert "less accurate than the baseline" in texts(sections(make_material(curved))["front"])
    found = sections(make_material(curved[1:3], fingerprint=made.fingerprint(weights="none")))
    assert "baseline" not in texts(found["front"])
    assert (
        found["summary"]
        .blocks[0]
        .items[1]
        .endswith("weights; everything was trained from scratch, so there is no pretrained network beside it.")
    )


@pytest.mark.parametrize(("decoded", "said"), [("network", ", decoded to the side that each network sees"), (None, "")])
def test_it_is_said_where_networks_have_pictures_of_their_own_side(make_material, curved, decoded, said):
    material = make_material(curved, fingerprint=made.fingerprint(decoded=decoded))
    facts = next(block for block in sections(material)["setup"].blocks if isinstance(block, Facts))
    assert dict(facts.pairs)["pictures"] == f"100 to train on, 50 to validate on{said}; test pictures kept apart"
