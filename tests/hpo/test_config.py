"""Every wrong value of every option: one line that names the option, what was received and what is allowed."""

import importlib.util
import json
import pickle
import re
import tomllib

import pytest

from hpo.config import Group, Role, StudyConfig, check_field, fields_of, load_preset, make_config, meta, restore_config
from hpo.errors import BadField, BadInput
from models.own import registry
from studies.presets import PRESETS, PRESETS_DIR
from tests import hypermodels

WRONG = [
    ("backbone", "vgg20", "vgg19"),
    ("backbone", "", "--list-backbones"),
    ("dataset", "cifar11", "cifar10"),
    ("dataset", "no/such/folder", "cifar10"),
    ("data_dir", "no/such/folder", "existing folder"),
    ("weights", "imagenet", "pretrained, none, or an existing .h5 file"),
    ("weights", "setup.cfg", ".h5"),
    ("trials", "0", "at least 1"),
    ("trials", "many", "an integer"),
    ("trials", "1.5", "an integer"),
    ("trials", "1000000", "at most 100000"),
    ("trials", "9" * 5000, "integer"),
    ("timeout", "0", "above 0"),
    ("timeout", "nan", "finite"),
    ("timeout", "inf", "finite"),
    ("timeout", "soon", "a number"),
    ("epochs", "-1", "at least 1"),
    ("epochs", True, "a number"),
    ("timeout", True, "a number"),
    ("batch_size", "0", "at least 1"),
    ("train_size", "0", "at least 1"),
    ("val_size", "-5", "at least 1"),
    ("resolutions", "16,big", "separated by commas"),
    ("resolutions", "", "commas"),
    ("resolutions", [], "a list of sides"),
    ("resolutions", [8.5, 16], "a list of sides"),
    ("resolutions", [True], "a list of sides"),
    ("resolutions", 16, "must be a list"),
    ("cache_dir", 3, "must be a path"),
    ("resolutions", "7", "from 8"),
    ("keep", "half", "auto"),
    ("head_start", "warm", "probe"),
    ("rates", "two", "auto, parts or one"),
    ("decode", "each", "auto, network or largest"),
    ("no_map", "perhaps", "true or false"),
    ("map_size", "9", "at least 10"),
    ("resolutions", "16,5000", "4096"),
    ("max_latency_ms", "0", "above 0"),
    ("max_gflops", "-1", "above 0"),
    ("stopping", "hyperband", "dominance, moasha or none"),
    ("reduction_factor", "1", "at least 2"),
    ("heads", "0", "at least 1"),
    ("heads", "65", "at most 64"),
    ("augment", "heavy", "none, light or strong"),
    ("augment", "", "must name at least one"),
    ("strategy", "slow", "plain or progressive"),
    ("search", "colour", "pooling"),
    ("views", "0", "at least 1"),
    ("cache_gib", "-1", "at least 0"),
    ("cache_gib", "inf", "finite"),
    ("cache_dtype", "bfloat16", "float16 or float32"),
    ("sampler", "cmaes", "tpe, nsga2, nsga3, random or gp"),
    ("seed", "-1", "at least 0"),
    ("seed", "4294967296", "at most"),
    ("study", "a/b", "letters"),
    ("study", "", "letters"),
    ("study", "..", "letters"),
    ("storage", "mysql://x", "sqlite:///FILE"),
    ("storage", "studies.db", "sqlite:///FILE"),
    ("workers", "-1", "at least 0"),
    ("workers", "1025", "at most 1024"),
    ("executor", "dask", "local or ray"),
    ("address", "auto", "unless the executor is ray"),
    ("gpus_per_worker", "-1", "at least 0"),
    ("cpus_per_worker", "0", "at least 1"),
    ("latency_node", "a", "unless the executor is ray"),
    ("device", "tpu", "auto, cpu, gpu or gpu:N"),
    ("latency_runtime", "tflite", "auto, litert, onnx or keras"),
    ("latency_threads", "0", "at least 1"),
    ("latency_threads", "65", "at most 64"),
    ("stall_timeout", "0", "above 0"),
    ("out", "setup.cfg", "a folder"),
    ("cache_dir", "setup.cfg/x", "a folder"),
    ("skip_unreadable", "maybe", "true or false"),
    ("follow_links", "maybe", "true or false"),
]


@pytest.mark.parametrize(("field", "value", "allowed"), WRONG)
def test_wrong_values(field, value, allowed):
    with pytest.raises(BadField) as refusal:
        make_config({field: value})
    text = str(refusal.value)
    assert text.startswith(f"{field} ")
    assert refusal.value.as_option == "--" + field.replace("_", "-") + text.removeprefix(field)
    assert str(pickle.loads(pickle.dumps(refusal.value))) == text
    assert "Received: " in text
    assert str(value)[:50] in text
    assert allowed in text
    assert "\n" not in text


def test_every_option_has_a_wrong_value_above():
    assert {field for field, *_ in WRONG} == set(StudyConfig.model_fields)


def test_gp_without_torch_says_so():
    if importlib.util.find_spec("torch"):
        pytest.skip("torch is installed")
    with pytest.raises(BadInput, match="^sampler gp needs the package torch, which is not installed; allowed without"):
        make_config({"sampler": "gp"})


def test_resolutions_are_sorted_and_single():
    assert make_config({"resolutions": "32,16, 32"}).resolutions == (16, 32)


def test_an_unknown_backbone_reads_well_in_python_and_on_the_command_line():
    text = "must be a known network. Received: vgg91. Did you mean vgg19 or vgg16? All "
    with pytest.raises(BadInput, match=f"^backbone {re.escape(text)}"):
        StudyConfig(backbone="vgg91")
    with pytest.raises(BadInput, match=f"^backbone {re.escape(text)}"):
        make_config({"backbone": "vgg91"})
    with pytest.raises(BadInput, match=r"^.*Received: 'a\\nb'\..*$"):  # one line, whatever was given
        StudyConfig(backbone="a\nb")


def test_smallest_resolution_is_the_backbones():
    with pytest.raises(BadInput, match="from 75 .smallest for inception_v3. to 4096 px. Received: 32,96"):
        make_config({"backbone": "inception_v3", "resolutions": "32,96"})


def test_presets_are_valid_and_options_override_them():
    assert {path.stem for path in PRESETS_DIR.glob("*.toml")} == set(PRESETS)
    for name in PRESETS:
        assert make_config({}, name).trials == load_preset(name)["trials"]
    assert make_config({"trials": 3}, "thorough").trials == 3
    assert make_config({"trials": 3}, "thorough").epochs == load_preset("thorough")["epochs"]


def test_the_standard_preset_is_what_the_help_calls_default():
    defaults = StudyConfig().model_dump()
    assert make_config({}).model_dump() == defaults


def test_a_preset_of_the_users(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('backbone = "vgg19"\nmax-latency-ms = 5\nresolutions = [32, 64]\n')
    config = make_config({}, str(path))
    assert (config.backbone, config.max_latency_ms, config.resolutions) == ("vgg19", 5.0, (32, 64))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("trials = ", "cannot be read"),
        pytest.param("x = " + 5000 * "[", "cannot be read", id="deep"),
        ("trails = 3", "unknown field trails. Allowed: backbone, "),
        ("trials = 0", "trials must be at least 1. Received: 0"),
        ('trials = "many"', "trials must be an integer"),
        ("out = 3", "^out must be a path"),
    ],
)
def test_a_wrong_preset(tmp_path, content, said):
    path = tmp_path / "mine.toml"
    path.write_text(content)
    with pytest.raises(BadInput, match=said.replace(".", r"\.")):
        make_config({}, str(path))


def test_an_unknown_preset():
    with pytest.raises(BadInput, match="^preset must be quick, standard, thorough, or a TOML file. Received: slow"):
        make_config({}, "slow")


def test_study_name_from_backbone_and_data(tmp_path):
    assert make_config({}).study_name == "custom_cnn-digits"
    folder = tmp_path / "my photos (2026)"
    folder.mkdir()
    assert make_config({"dataset": str(folder)}).study_name == "custom_cnn-my-photos-2026"
    assert make_config({"study": "mine"}).study_dir.name == "mine"


def test_roles():
    assert fields_of(Role.EFFORT) == ("trials", "heads", "no_map", "map_size", "sampler", "cache_gib")
    assert fields_of(Role.PLACE) == (
        "data_dir",
        "follow_links",
        "timeout",
        "study",
        "storage",
        "out",
        "cache_dir",
        "executor",
        "address",
        "workers",
        "gpus_per_worker",
        "cpus_per_worker",
        "latency_node",
        "device",
        "stall_timeout",
    )
    assert {meta(name, "role") for name in StudyConfig.model_fields} == set(Role)
    assert {meta(name, "group") for name in StudyConfig.model_fields} == set(Group)


def test_one_field_alone():
    assert check_field("storage", None) == "sqlite:///studies.db"
    with pytest.raises(BadInput, match="^storage must be sqlite:///FILE"):
        check_field("storage", "x")


def test_a_study_s_options_come_back_from_its_attribute(tmp_path):
    values = {"resolutions": (16, 24), "augment": ("none", "light"), "max_gflops": 0.5, "search": ("pooling",)}
    config = make_config({**values, "study": "mine", "out": tmp_path / "a"}, "quick")
    kept = json.loads(json.dumps(config.model_dump(mode="json")))
    assert restore_config(kept, "mine", {"out": None, "device": None}) == config
    moved = restore_config(kept, "mine", {"out": tmp_path / "b"})
    assert moved == config.model_copy(update={"out": tmp_path / "b"})
    with pytest.raises(BadInput, match="study mine was made by an older version"):
        restore_config(None, "mine", {})
    with pytest.raises(BadInput, match="^weights must be pretrained, none, or an existing .h5 file. Received: gone.h5"):
        restore_config({**kept, "weights": "gone.h5"}, "mine", {})


def test_frozen_and_hashable():
    config = make_config({})
    assert hash(config) == hash(make_config({}))
    with pytest.raises(ValueError, match="frozen"):
        config.trials = 3  # type: ignore[misc]


def test_presets_name_the_command_that_uses_them():
    for name in PRESETS:
        text = (PRESETS_DIR / f"{name}.toml").read_text(encoding="utf-8")
        assert "python -m hpo.run" in text
        assert tomllib.loads(text)


@pytest.fixture
def hypermodel(monkeypatch):
    """The name of one that may be built in this test."""
    monkeypatch.setattr(registry, "_known", {})
    return registry.named(f"{hypermodels.__file__}:Scoped", hypermodel=True)


def test_a_hypermodel_has_no_map_no_ends_and_no_probes(hypermodel):
    config = make_config({"backbone": hypermodel, "dataset": "digits"})
    assert config.is_hypermodel
    assert not (config.is_mapped or config.searches_ends or config.starts_from_probe or config.splits_rates)
    assert config.study_name == "hypermodels.Scoped-digits"
    assert make_config({"backbone": hypermodel, "sampler": "nsga2", "epochs": 3, "batch_size": 16}).sampler == "nsga2"


@pytest.mark.parametrize(
    ("name", "value"),
    [("weights", "none"), ("keep", "full"), ("search", "pooling"), ("augment", "light"), ("strategy", "progressive"),
     ("rates", "one"), ("head_start", "random"), ("no_map", True), ("map_size", 100), ("sampler", "planner"),
     ("views", 2), ("heads", 2), ("decode", "network")],
)  # fmt: skip
def test_what_a_hypermodel_decides_itself_is_refused(hypermodel, name, value):
    with pytest.raises(BadField, match=f"{name} must be left out with a HyperModel. Received: ") as caught:
        make_config({"backbone": hypermodel, name: value})
    assert "\n" not in str(caught.value)


def test_the_side_of_a_hypermodels_pictures(hypermodel, tmp_path):
    from PIL import Image

    for kind in "ab":
        (tmp_path / kind).mkdir()
        Image.new("RGB", (9, 9)).save(tmp_path / kind / "1.png")
    there = {"backbone": hypermodel, "dataset": str(tmp_path)}
    assert make_config({**there, "resolutions": "8"}).resolutions == (8,)
    for given, received in ((None, "none"), ("8,16", "8,16")):
        with pytest.raises(BadField, match=f"must be one side in px for a HyperModel .* Received: {received}"):
            make_config(there if given is None else {**there, "resolutions": given})
    with pytest.raises(BadField, match="must be left out with a HyperModel on digits"):
        make_config({"backbone": hypermodel, "dataset": "digits", "resolutions": "8"})


def test_a_hypermodel_of_python_takes_the_place_of_the_backbone(hypermodel):
    config = StudyConfig(hypermodel=hypermodels.Needs(4), dataset="digits")
    assert config.backbone == "Needs" and config.is_hypermodel
    for values, message in (
        ({"hypermodel": "mine.py:A"}, "must be an instance of keras_tuner.HyperModel. Received: 'mine.py:A'"),
        ({"hypermodel": hypermodels.Needs(4), "backbone": "vgg16"}, "takes the place of backbone"),
    ):
        with pytest.raises(BadField, match=message):
            StudyConfig(**values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"address": "auto"}, "address must be left out unless the executor is ray. Received: auto"),
        ({"gpus_per_worker": 0.5}, "gpus_per_worker must be left out unless the executor is ray. Received: 0.5"),
        ({"latency_node": "a"}, "latency_node must be left out unless the executor is ray. Received: a"),
        ({"executor": "ray", "workers": 0}, "workers must be at least 1 with the executor ray. Received: 0"),
        (
            {"executor": "ray", "device": "gpu:1"},
            "device must be auto, cpu or gpu with the executor ray, which numbers GPUs. Received: gpu:1",
        ),
        (
            {"executor": "ray", "address": "ray://10.0.0.1:10001"},
            "address must be HOST:PORT or auto, seen from a node of the cluster. Received: ray://10.0.0.1:10001",
        ),
        ({"executor": "dask"}, "executor must be one of local or ray. Received: dask"),
        ({"executor": "ray", "cpus_per_worker": 0}, "cpus_per_worker must be at least 1. Received: 0"),
    ],
)
def test_what_a_cluster_needs_and_what_is_for_a_cluster_alone(values, message, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    with pytest.raises(BadField) as caught:
        make_config(values)
    assert str(caught.value) == message


def test_without_ray_its_extra_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BadField, match=r"executor ray needs the package ray: pip install 'keras-hpo\[cluster\]'"):
        make_config({"executor": "ray"})


def test_what_comes_after_a_search_needs_no_cluster(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    options = make_config({"executor": "ray", "address": "auto", "workers": 4}).model_dump(mode="json")
    restored = restore_config(options, "one", {})
    assert (restored.executor, restored.address, restored.workers) == ("local", None, 4)
