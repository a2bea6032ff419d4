"""How far a training step is from what the machine can do, and where the rest goes.

    PYTHONPATH=. python benchmarks/limit.py

The limit is the rate of a large float32 matrix product, measured in the same run. Three backbones with random weights,
all stages free, batch 32: forward and backward together count as three forward passes (2 FLOPs a MAC, convolutions and
dense layers only). Beside the step its parts are timed alone: the forward pass, Adam on as many weights, and the work
of the host (gathering the batch and drawing its dropout); what is left is the backward pass.

Prints a table, writes limit.json and limit.png beside this file.
"""

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np

from models.candidate import Candidate
from models.quiet import quiet_import

with quiet_import():
    import keras
    from keras import ops

    from models import flops
    from models.build import Task, build_network
    from models.latency.call import machine_facts
    from models.training.backend import compiled, forward, fused
    from models.training.batches import DropoutNoise, Examples, keep_mask, padded, training_batches
    from models.training.optimizers import adam as adam_step
    from models.training.trainer import Trainer

BATCH, STEPS = 32, 12
NETWORKS = (("vgg19", 32), ("resnet50", 64), ("mobilenet_v2_0.35", 96))


def median_ms(call: Callable[[], object], times: int = STEPS) -> float:
    """Of calls after three that warm up."""
    found = []
    for _ in range(times + 3):
        start = time.perf_counter()
        call()
        found.append(1e3 * (time.perf_counter() - start))
    return statistics.median(found[3:])


def product_rate(n: int = 2048) -> float:
    """FLOP/s of an n x n matrix product, the best of several."""
    a = ops.convert_to_tensor(np.random.default_rng(0).random((n, n), dtype="float32"))
    multiply = compiled(lambda a: ops.matmul(a, a))
    found = []
    for _ in range(12):
        start = time.perf_counter()
        ops.convert_to_numpy(multiply(a))
        found.append(2 * n**3 / (time.perf_counter() - start))
    return max(found)


def measure(name: str, side: int) -> dict[str, float | str]:
    keras.backend.clear_session()
    task = Task(32, 32, 3, 10, "none")
    depth = {"vgg19": 5, "resnet50": 5, "mobilenet_v2_0.35": 5}[name]
    network = build_network(
        Candidate(
            backbone=name,
            unfreeze_depth=depth,
            head_width=0,
            dropout=0.2,
            learning_rate=1e-3,
            lr_schedule="constant",
            resolution=side,
        ),
        task,
        seed=0,
    )
    trainer = Trainer(network)
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (2000, 32, 32, 3), dtype="uint8")
    examples = Examples(pictures, rng.integers(0, 10, 2000), np.arange(2000))
    noise = DropoutNoise(0, 1, hidden=False)

    def host() -> tuple:
        x, y = next(training_batches(examples, BATCH, 0, 1))
        return padded(BATCH, x, y, keep_mask(noise.draw(BATCH, trainer.width), 0.2))

    batch, state = host(), trainer.begin()
    numbers = np.float32(0), np.float32(1e-3), np.float32(1)  # smoothing, rate, what decay leaves

    def step() -> None:
        found = trainer._step(state.weights, state.moments, state.others, batch, *numbers)
        state.weights, state.moments, state.others = found[:3]
        ops.convert_to_numpy(found[3])

    def adam() -> None:
        ops.convert_to_numpy(change(state.weights, state.moments, state.weights, *numbers[1:])[1][0][:1])

    change = compiled(fused(adam_step))
    run = forward(network.logits)
    step_ms, forward_ms = median_ms(step), median_ms(lambda: run(batch[0]))
    adam_ms, host_ms = median_ms(adam), median_ms(host)
    cost = flops.count(network.logits).flops * BATCH
    return {
        "backbone": name,
        "resolution": side,
        "gflops_a_step": 3 * cost / 1e9,
        "weights": trainer.parameters,
        "step_ms": step_ms,
        "forward_ms": forward_ms,
        "adam_ms": adam_ms,
        "host_ms": host_ms,
        "backward_ms": max(0.0, step_ms - forward_ms - adam_ms),
        "training_rate": 3 * cost / (step_ms + host_ms) * 1e3,
        "forward_rate": cost / forward_ms * 1e3,
    }


def draw(rows: list[dict], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 3.4), layout="constrained")
    axes = figure.subplots()
    left = np.zeros(len(rows))
    names = [f"{row['backbone']}, {row['resolution']} px\n{row['share']:.0%} of the limit" for row in rows]
    for part, colour in (("forward", "#0072B2"), ("backward", "#56B4E9"), ("adam", "#E69F00"), ("host", "#999999")):
        share = np.array([row[f"{part}_ms"] / (row["step_ms"] + row["host_ms"]) for row in rows])
        axes.barh(names, share, left=left, color=colour, label=part)
        left += share
    axes.set_xlabel("share of the time of a training step")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.legend(frameon=False, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1))
    axes.spines[["top", "right"]].set_visible(False)
    axes.invert_yaxis()
    figure.savefig(path, dpi=120)


@click.command()
def main() -> None:
    limit = product_rate()
    print(f"matrix product: {limit / 1e9:.0f} GFLOP/s")
    print("backbone             px  step ms  forward  backward   Adam   host  training GFLOP/s  of the limit  forward")
    rows = []
    for name, side in NETWORKS:
        row = measure(name, side)
        rows.append(row | {"share": row["training_rate"] / limit, "forward_share": row["forward_rate"] / limit})
        one = rows[-1]
        print(
            f"{name:<18} {side:>4} {one['step_ms']:>8.1f} {one['forward_ms']:>8.1f} {one['backward_ms']:>9.1f} "
            f"{one['adam_ms']:>6.1f} {one['host_ms']:>6.2f} {one['training_rate'] / 1e9:>17.0f} {one['share']:>13.0%} "
            f"{one['forward_share']:>8.0%}",
            flush=True,
        )
    output = Path(__file__).with_suffix(".json")
    result = {"product_gflops": limit / 1e9, "rows": rows, "machine": machine_facts()}
    output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    draw(rows, output.with_suffix(".png"))


if __name__ == "__main__":
    main()
