"""The example that loads a model, and the lines that give every number again."""

import dataclasses

from studies.report.closing import loading
from studies.report.gallery import Gallery


def example(material):
    text, code = loading(material, Gallery()).blocks
    compile(code.text, "example", "exec")
    return text.text, code.text


def test_it_names_the_files_of_both_models_and_the_size(evaluated):
    text, code = example(evaluated())
    assert text.startswith("The files are those of trial 1 and trial 2, in the study's folder.")
    assert 'path = "final/1/seed-0/model.keras"  # trial 1 (recommended), pictures of 8 x 8 x 1\n' in code
    assert '# path = "final/2/seed-0/model.keras"  # trial 2' in code
    assert code.count("pictures of 8 x 8 x 1") == 2
    assert "np.zeros((1, 8, 8, 1), " in code


def test_two_classes_have_two_columns_but_in_files_of_version_0_2(evaluated):
    material = evaluated(("no", "yes"))
    _, code = example(material)
    assert "probabilities.argmax(axis=1)" in code and "concatenate" not in code
    files = {label: dataclasses.replace(file, one_column=True) for label, file in material.model_files.items()}
    _, code = example(dataclasses.replace(material, model_files=files))
    assert "np.concatenate([1 - probabilities, probabilities], axis=1)" in code


def test_before_the_evaluation_it_says_what_to_run(make_material, curved):
    (text,) = loading(make_material(curved), Gallery()).blocks
    assert text.text.startswith("`python -m hpo.evaluate custom_cnn-digits` gives")
