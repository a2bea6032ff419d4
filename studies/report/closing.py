"""The last sections: how to load and use the model, and how to get every number again."""

from studies.forms import AS_TRAINED
from studies.paths import run_name
from studies.report.blocks import Block, Code, Facts, Section, Text
from studies.report.detail import Detail
from studies.report.gallery import Gallery
from studies.report.material import Material
from studies.report.summary import evaluate_command
from studies.report.wording import listed

# A file of version 0.2 for two classes.
COMPLETED = """
probabilities = np.concatenate([1 - probabilities, probabilities], axis=1)  # the file gives that of class_names[1]"""


def loading(material: Material, _gallery: Gallery) -> Section | None:
    """How to load and use the model."""
    if not material.complete:
        return None
    title, details = "How to load and use the model", material.details
    if not details:
        text = f"`{evaluate_command(material)}` gives the candidates on the front their final training and saves them."
        return Section("loading", title, (Text(text),))
    paths = [
        f'path = "final/{one.model.label}/{run_name(one.model.runs[0].seed)}/model.keras"  # {one.title}{_sees(one)}'
        for one in details
    ]
    lines = "\n# ".join(paths)  # the first one counts
    file = details[0].file
    size = ", ".join(map(str, file.input_shape)) or "height, width, channels"
    example = size if file.input_shape else "32, 32, 3"
    code = f"""import json, zipfile
import keras, numpy as np

{lines}
model = keras.saving.load_model(path)
with zipfile.ZipFile(path) as archive:
    class_names = json.loads(archive.read("class_names.json"))

pictures = np.zeros((1, {example}), "uint8")  # yours: (n, {size}), values 0 to 255
probabilities = model.predict(pictures)  # (n, classes), rows sum to 1{COMPLETED if file.one_column else ""}
print([class_names[number] for number in probabilities.argmax(axis=1)])"""
    files = "The file is that of" if len(details) == 1 else "The files are those of"
    text = (
        f"{files} {listed([one.name for one in details])}, in the study's folder. Raw pictures of the size that the "
        "model takes go in; preprocessing and the class names are inside. A picture unlike those it was trained on "
        "gets probabilities all the same."
    )
    return Section("loading", title, (Text(text), Code(code)))


def _sees(detail: Detail) -> str:
    """The size of the pictures that a model takes, where it is known."""
    shape = detail.file.input_shape
    return f", pictures of {' x '.join(map(str, shape))}" if shape else ""


def reproducing(material: Material, _gallery: Gallery) -> Section:
    """How to get the same numbers again."""
    fingerprint = material.fingerprint
    commands = [material.command or f"python -m hpo.run --study {material.name}"]
    seeds = [f"{fingerprint.seed} (split, sampler, initial weights, order of pictures)"]
    if material.finals:
        n_seeds = max(len(model.runs) for model in material.finals)
        labels = ",".join(model.label for model in material.finals if model.label != "baseline")
        forms = dict.fromkeys(one.form.format for one in material.forms if one.form.format != AS_TRAINED)
        runtimes = f" --runtimes {','.join(forms)}" if forms else ""
        chosen = f" --trials {labels}" if labels else ""  # the baseline is evaluated anyway
        commands.append(f"{evaluate_command(material)}{chosen} --seeds {n_seeds}{runtimes}")
        seeds.append(f"0 to {n_seeds - 1} (final training)" if n_seeds > 1 else "0 (final training)")
    commands.append(f"python -m hpo.report {material.name}{fingerprint.code_words}")
    text = (
        "The same commands on the same machine, with the same data, weights and versions, give the same trials as long "
        "as only one worker runs and the cache folder is kept; latencies measured again differ a little, and proposals "
        "depend on them. Compare the numbers below in full."
    )
    facts = (
        ("seeds", listed(seeds)),
        ("data set", fingerprint.dataset_digest),
        ("split", fingerprint.split),
        ("weights", fingerprint.weights),
        ("versions", ", ".join(f"{name} {version}" for name, version in (fingerprint.versions or {}).items())),
    )
    blocks: tuple[Block, ...] = (Text(text), Code("\n".join(commands)), Facts(tuple(p for p in facts if p[1])))
    return Section("reproducing", "How to reproduce every number", blocks)
