"""Which network is built for which pictures, and what a run says of it."""

import pytest

from hpo.search.network import as_built, remarks
from hpo.study import load_study, run_study
from studies.errors import StudyRefused


@pytest.mark.parametrize(
    ("asked", "dataset", "built"),
    [
        ("lenet5", "cifar10", "lenet5_colour"),
        ("lenet5", "fake:shape=32x32x3,classes=3,size=60", "lenet5_colour"),
        ("lenet5", "digits", "lenet5"),
        ("lenet5_grey", "cifar10", "lenet5_grey"),
        ("custom_cnn", "cifar10", "custom_cnn"),
    ],
)
def test_lenet5_sees_colour_where_there_is_some(configure, asked, dataset, built):
    config = configure(backbone=asked, dataset=dataset, weights="none", study=None)
    found = as_built(config)
    assert (found.backbone, found.study_name) == (built, config.study_name)


def said(configure, **options):
    config = configure(**options)
    return remarks(config, as_built(config))


def test_what_a_run_says_of_its_network(configure):
    assert said(configure, backbone="lenet5", weights="none", dataset="digits") == []
    assert said(configure, backbone="lenet5", weights="none", dataset="cifar10") == [
        "lenet5 sees colour where pictures have it: this is lenet5_colour; with --backbone lenet5_grey it sees their "
        "brightness alone, as published"
    ]
    assert said(configure, backbone="lenet5_grey", weights="none", dataset="cifar10") == [
        "lenet5_grey sees the brightness of the pictures alone, not their colours"
    ]
    assert said(configure, backbone="lenet5_grey", weights="none", dataset="digits") == []  # which has no colours
    assert said(configure, backbone="custom_cnn", dataset="cifar10:cat,dog") == [
        "the weights of custom_cnn were trained on training pictures of cifar10, validation pictures of this study "
        "among them, so validation accuracy looks better than it is; test pictures were not among them"
    ]
    assert said(configure, backbone="custom_cnn", dataset="cifar10", weights="none") == []


def backbones(study):
    return [record.candidate.backbone for record in study.records if record.counts]


def test_a_study_of_lenet5_from_before_does_not_go_on_in_colour(configure, fakes):
    config = configure(backbone="lenet5", weights="none", dataset="cifar10", study=None, trials=1)
    fakes.run(config)  # as version 0.2 did: the network of that name, which sees grey
    before = load_study(config.study_name, storage=config.storage, out=config.out)
    assert backbones(before) == ["lenet5"]
    with pytest.raises(StudyRefused, match=r"backbone \(lenet5 then, lenet5_colour now\)"):
        run_study(config, parts=fakes.parts)
    assert before.config.backbone == "lenet5"  # what comes after the search is of the network that was searched


def test_a_new_study_keeps_the_name_of_the_network_that_it_built(configure, fakes):
    config = configure(backbone="lenet5", weights="none", dataset="cifar10", study=None, trials=1)
    study = run_study(config, parts=fakes.parts)
    assert study.name == "lenet5-cifar10-scratch"
    assert backbones(study) == ["lenet5_colour"]
    assert study.config.backbone == "lenet5_colour"
    assert backbones(run_study(config, parts=fakes.parts)) == ["lenet5_colour"]  # the same line goes on
