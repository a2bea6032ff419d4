"""The command that puts studies side by side, against studies that were run."""

import dataclasses
import json

import pytest
from click.testing import CliRunner
from PIL import Image

from hpo.compare import main
from hpo.errors import BadInput
from hpo.run import each_backbone, run_each
from models import ModelError
from tests.hpo.conftest import fake_facts


def compare(config, *names):
    return CliRunner().invoke(main, [*names, "--storage", config.storage, "--out", str(config.out)])


def test_two_studies_side_by_side(configure, fakes):
    configs = [configure(trials=4), configure(trials=3, backbone="mobilenet_0.25", study="other")]
    for config in configs:
        fakes.run(config)
    done = compare(configs[0], configs[0].study_name, "other")
    assert done.exit_code == 0, done.output
    folder = configs[0].out / "comparison-digits"
    table = json.loads((folder / "comparison.json").read_text())
    assert [(row["backbone"], row["kind"]) for row in table] == [
        ("custom_cnn", "pretrained, frozen"),
        ("custom_cnn", "customised"),
        ("mobilenet_0.25", "pretrained, frozen"),
        ("mobilenet_0.25", "customised"),
    ]
    stems = {
        f"{stem}.{suffix}" for stem in ("joint_latency", "joint_flops") for suffix in ("html", "png", "svg", "pdf")
    }
    assert {path.name for path in folder.iterdir()} == stems | {
        f"comparison.{suffix}" for suffix in ("csv", "json", "md", "tex")
    }
    assert "no such trial" not in done.output
    assert "Ended trials differ: 4 in custom_cnn-digits; 3 in other." in done.output
    text = (folder / "comparison.md").read_text()
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    assert headings == ["## The studies together", "## What is not like for like", "## What is missing"]
    assert "python -m hpo.evaluate other" in text


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
    done = compare(configure(), *names)
    assert done.exit_code == 2
    assert done.output.startswith("error: ")
    assert said in done.output
    assert done.output.count("\n") == 1
    assert not list(configure().out.glob("comparison*"))


@pytest.mark.slow
def test_a_study_for_each_backbone_and_then_their_comparison(configure, capsys, fakes):
    base = configure()
    options = {name: getattr(base, name) for name in ("storage", "out", "cache_dir", "workers")}
    options |= {"no_map": True, "trials": 1, "train_size": 200, "val_size": 100, "epochs": 2, "dataset": "digits"}
    configs = each_backbone({**options, "backbone": "custom_cnn, mobilenet_0.25,custom_cnn"}, "standard")
    assert [config.study_name for config in configs] == ["custom_cnn-digits", "mobilenet_0.25-digits"]
    assert run_each(configs, parts=fakes.parts) == 0
    said = capsys.readouterr().out
    assert said.index("[1/2] custom_cnn") < said.index("[2/2] mobilenet_0.25") < said.index("Comparison")
    assert (base.out / "comparison-digits" / "joint_latency.png").is_file()


@pytest.mark.slow
def test_a_backbone_that_cannot_be_run_does_not_stop_the_others(configure, capsys, fakes):
    def prepare(config):
        if config.backbone == "resnet50":
            raise ModelError("ImageNet weights of resnet50 cannot be fetched")
        return fake_facts(config)

    fakes.prepare = prepare
    base = configure()
    options = {name: getattr(base, name) for name in ("storage", "out", "cache_dir", "workers")}
    options |= {"no_map": True, "trials": 1, "epochs": 2, "dataset": "digits"}
    configs = each_backbone({**options, "backbone": "resnet50,custom_cnn"}, "standard")
    assert run_each(configs, parts=fakes.parts) == 2
    said = capsys.readouterr()
    assert said.err == "error: resnet50: ImageNet weights of resnet50 cannot be fetched\n"
    assert "Comparison" in said.out


def test_a_wrong_option_names_the_backbone_that_it_is_wrong_for():
    with pytest.raises(BadInput, match=r"^strategy must be plain .*\(backbone lenet5, weights none\)"):
        each_backbone({"backbone": "custom_cnn,lenet5", "strategy": "progressive"}, "standard")


def test_backbones_that_would_see_a_folder_in_different_sizes_are_refused_before_anything_is_run(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for number in range(5):
            Image.new("RGB", (70, 80), (number, 0, 0)).save(tmp_path / "pets" / name / f"{number}.png")
    options = {"backbone": "lenet5,mobilenet_0.25", "dataset": str(tmp_path / "pets"), "weights": "none"}
    with pytest.raises(BadInput, match=r"^resolutions .* 32 px for lenet5, 224 px for mobilenet_0.25"):
        each_backbone(options, "standard")
    assert len(each_backbone({**options, "resolutions": "32,64"}, "standard")) == 2
    assert len(each_backbone({**options, "dataset": "mnist"}, "standard")) == 2  # keeps its own size


@pytest.mark.parametrize("text", ["lenet5", "lenet5,", "lenet5, lenet5"])
def test_one_backbone_is_one_study_however_often_it_is_named(text):
    (config,) = each_backbone({"backbone": text, "weights": "none"}, "standard")
    assert config.backbone == "lenet5"
