"""Are our AlexNet, GoogLeNet and ResNet-18/34 those of torchvision?

    python benchmarks/torchvision_parity.py        # torch 2.13.0 and torchvision 0.28.0 must be there

For each network: the trainable parameters and GMACs of ours beside those that torchvision states, and the largest
difference between the two, with the same random weights, on the same pictures: of the logits at 224 px, and of the
feature maps at sizes that are odd, even and small. The address, size and hash that we expect of the published file are
compared with torchvision's. Prints a table and writes torchvision_parity.json beside this file.

torchvision's usual wheel is built for torch with CUDA. Beside a CPU build of torch its operators (for detection) do
not load and importing it fails; the classifiers need none of them, so they are declared, empty, before the import.
"""

import importlib.util
import json
import re
import warnings
from datetime import date
from pathlib import Path
from typing import Any

import keras
import numpy as np
import torch

from models import zoo
from models.backbones import features, with_top
from models.catalogue import BACKBONES
from models.device import cpu_name
from models.flops import count
from models.weights.torchvision import PUBLISHED, convert

SIDES = (63, 64, 97, 128, 224)  # 63 is the smallest that torchvision's AlexNet takes
PICTURES = 4


def main() -> None:
    torchvision, declared = import_torchvision()
    rows = [compare(name, torchvision) for name in PUBLISHED]
    print(
        f"{'':<10}{'parameters':>12}{'stated':>12}{'GMACs':>8}{'stated':>8}{'std of logits':>15}{'difference':>12}",
        end="",
    )
    print("".join(f"{f'map {side} px':>13}" for side in SIDES))
    for row in rows:
        print(f"{row['name']:<10}{row['parameters']:>12,}{row['parameters_stated']:>12,}", end="")
        print(f"{row['gmacs']:>8.3f}{row['gmacs_stated']:>8.3f}{row['logits_std']:>15.3f}", end="")
        print(f"{row['logits_difference']:>12.1e}" + "".join(f"{row['maps'][str(side)]:>13.1e}" for side in SIDES))
    result = {
        "date": date.today().isoformat(),
        "cpu": cpu_name(),
        "versions": {"torch": torch.__version__, "torchvision": torchvision.__version__, "keras": keras.__version__},
        "backend": keras.backend.backend(),
        "pictures": PICTURES,
        "operators_declared": declared,
        "networks": rows,
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def compare(name: str, torchvision: Any) -> dict[str, Any]:
    stated = torchvision.models.get_model_weights(name).IMAGENET1K_V1
    published = PUBLISHED[name]
    assert (published.url, published.mib) == (stated.url, stated.meta["_file_size"])
    keras.backend.clear_session()
    options = {"aux_logits": True, "transform_input": True, "init_weights": False} if name == "googlenet" else {}
    theirs = randomise(torchvision.models.get_model(name, weights=None, **options), seed=0)
    tensors = {key: value.numpy() for key, value in theirs.state_dict().items()}
    model = with_top(BACKBONES[name], 224)
    convert(model, zoo.torch_modules(name), tensors, published.left_out)
    logits = keras.Model(model.input, model.layers[-1].input)
    images = pictures(224)
    with torch.inference_mode():
        expected = theirs(normalised(images)).numpy()
    difference = np.abs(run(logits, images) - expected).max()
    return {
        "name": name,
        "parameters": sum(weight.numpy().size for weight in model.trainable_weights),
        "parameters_stated": stated.meta["num_params"],
        "gmacs": count(model).macs / 1e9,
        "gmacs_stated": stated.meta["_ops"],
        "logits_std": float(expected.std()),
        "logits_difference": float(difference),
        "maps": {str(side): map_difference(name, theirs, tensors, side) for side in SIDES},
    }


def map_difference(name: str, theirs: Any, tensors: dict[str, np.ndarray], side: int) -> float:
    """The largest difference between the feature maps."""
    inputs = keras.Input((side, side, 3))
    base = keras.Model(inputs, features(BACKBONES[name], inputs))
    convert(base, zoo.torch_modules(name), tensors, PUBLISHED[name].left_out)
    seen = []  # what enters torchvision's own pooling
    handle = theirs.avgpool.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    images = pictures(side)
    with torch.inference_mode():
        theirs(normalised(images))
    handle.remove()
    return float(np.abs(run(base, images) - seen[0].permute(0, 2, 3, 1).numpy()).max())


def run(model: keras.Model, images: np.ndarray) -> np.ndarray:
    return keras.ops.convert_to_numpy(model(images, training=False))


def pictures(side: int) -> np.ndarray:
    return np.random.default_rng(side).uniform(0, 255, (PICTURES, side, side, 3)).astype("float32")


def normalised(images: np.ndarray) -> torch.Tensor:
    """(n, h, w, 3), 0 to 255 -> (n, 3, h, w) by torchvision's own transform behind resizing and cropping."""
    from torchvision.transforms.functional import normalize

    scaled = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
    return normalize(scaled, mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])


def randomise(model: Any, seed: int) -> Any:
    """Random weights and statistics of batch norm, under which activations do not grow."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, module in model.named_modules():
            if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
                gain = 2 if isinstance(module, torch.nn.Conv2d) else 1
                module.weight.normal_(0, (gain / module.weight[0].numel()) ** 0.5, generator=generator)
                if module.bias is not None:
                    module.bias.uniform_(-0.1, 0.1, generator=generator)
            elif isinstance(module, torch.nn.BatchNorm2d):
                least, most = (0.1, 0.3) if name.endswith("bn2") else (0.65, 1.15)
                module.weight.uniform_(least, most, generator=generator)
                module.bias.uniform_(-0.2, 0.2, generator=generator)
                module.running_mean.uniform_(-0.2, 0.2, generator=generator)
                module.running_var.uniform_(0.5, 1.5, generator=generator)
    return model.eval()


def import_torchvision() -> tuple[Any, list[str]]:
    """torchvision, and the operators that had to be declared for that."""
    try:
        import torchvision
    except RuntimeError as error:
        if "does not exist" not in str(error):
            raise
    else:
        return torchvision, []
    folder = Path(importlib.util.find_spec("torchvision").origin).parent
    text = (folder / "_meta_registrations.py").read_text(encoding="utf-8")
    names = sorted(set(re.findall(r'register_(?:meta|fake)\("(?:torchvision::)?(\w+)"', text)))
    global _library  # as long as it lives, its declarations hold
    _library = torch.library.Library("torchvision", "FRAGMENT")
    for name in names:
        _library.define(f"{name}(Tensor x) -> Tensor")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torchvision
    return torchvision, names


if __name__ == "__main__":
    main()
