"""What a comparison is told of a study beside its numbers."""

from hpo.reporting.gathering import gather
from hpo.study import load_study


def gathered(config):
    study = load_study(config.study_name, storage=config.storage, out=config.out)
    return gather(study.optuna, study.files.folder)


def test_what_its_names_mean(configure, fakes):
    flattered = configure(trials=1, dataset="cifar10", study="flattered")
    grey = configure(trials=1, dataset="cifar10", backbone="lenet5_grey", weights="none", study="grey")
    digits = configure(trials=1, backbone="lenet5", weights="none", study="digits")
    for config in (flattered, grey, digits):
        fakes.run(config)
    found = [gathered(config) for config in (flattered, grey, digits)]
    assert [(study.flattered, study.greyed) for study in found] == [(True, False), (False, True), (False, False)]
    assert [study.name for study in found] == ["flattered", "grey", "digits"]
    assert [(study.finals, study.guesses) for study in found] == [([], {})] * 3


def test_what_the_evaluation_left(evaluated):
    found = gathered(evaluated)
    assert found.finals
    assert {label for label, _ in found.guesses} == {model.label for model in found.finals}
