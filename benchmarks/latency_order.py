"""Do two separate processes order ten backbones alike by latency?

    python benchmarks/latency_order.py

Runs `python -m models.profile --json` for each backbone at 96 px without top, twice, the second time in reverse order,
each in a process of its own; prints both medians and Kendall's tau, writes latency_order.json beside this file.
"""

import json
import subprocess
import sys
from pathlib import Path

from scipy.stats import kendalltau

BACKBONES = (
    "custom_cnn", "mobilenet_0.25", "mobilenet_v2_0.35", "mobilenet_v3_small", "mobilenet_v2", "efficientnet_b0",
    "resnet50", "densenet121", "vgg16", "resnet101",
)  # fmt: skip


def profile(name: str) -> dict:
    words = [
        sys.executable,
        "-m",
        "models.profile",
        "--backbone",
        name,
        "--resolution",
        "96",
        "--no-top",
        "--json",
        "--latency-runtime",
        "keras",
    ]
    return json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    first = {name: profile(name) for name in BACKBONES}
    second = {name: profile(name) for name in reversed(BACKBONES)}
    medians = [[run[name]["latency_ms"]["median"] for name in BACKBONES] for run in (first, second)]
    tau = float(kendalltau(*medians).statistic)
    print(f"{'backbone':<20}{'first ms':>10}{'second ms':>11}")
    for name, *pair in zip(BACKBONES, *medians, strict=True):
        print(f"{name:<20}{pair[0]:>10.3f}{pair[1]:>11.3f}")
    facts = {key: first["vgg16"][key] for key in ("device", "backend", "dtype", "versions")}
    print(f"Kendall's tau {tau:.3f} on {facts['device']}")
    result = {"tau": tau, "first": first, "second": second}
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
