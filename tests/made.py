"""Made-up candidates and records: all that they must have, with what a test is about given by name."""

from typing import Any

from models.candidate import Candidate
from studies.finals import FinalCosts
from studies.fingerprint import Fingerprint
from studies.forms import Form
from studies.outcomes import DeployedLatency, Latency, Measurement
from studies.paired import Pairs
from studies.probes import Map, Probe

COMMON = {"device": "test device", "backend": "none", "dtype": "float32"}


def candidate(**changes: Any) -> Candidate:
    """A linear head on a frozen custom_cnn at 16 px."""
    about = {"backbone": "custom_cnn", "resolution": 16, "unfreeze_depth": 0, "head_width": 0}
    recipe = {"dropout": 0.0, "learning_rate": 1e-3, "lr_schedule": "constant"}
    return Candidate(**{**about, **recipe, **changes})


def latency(median_ms: float = 1.0, **changes: Any) -> Latency:
    """From 0.9 (p10) over 1.2 (p90) to 2 times (p99) the median."""
    spread = {"p10_ms": 0.9 * median_ms, "p90_ms": 1.2 * median_ms, "p99_ms": 2 * median_ms}
    return Latency(**{"median_ms": median_ms, **spread, "runs": 50, "batch_size": 1, **COMMON, **changes})


def deployed_latency(ms: float = 1.0, high: float | None = None, **changes: Any) -> DeployedLatency:
    """In LiteRT with one thread; `high` is the latency plus its uncertainty, else 5 %."""
    spread = {"median_ms": 1.1 * ms, "p10_ms": ms, "p90_ms": 1.2 * ms, "p99_ms": 2 * ms}
    about = {**COMMON, "backend": "LiteRT 2.3.0", "runs": 50, "batch_size": 1, "threads": 1}
    high = 1.05 * ms if high is None else high
    return DeployedLatency(**{**spread, **about, "ms": ms, "high_ms": high, **changes})


def measurement(latency_ms: float = 1.0, flops: int = 2, unsure: float | None = None, **changes: Any) -> Measurement:
    """`unsure`: how far p10 and p90 are from the latency, ms."""
    costs = {"macs": flops // 2, "flops": flops, "other_flops": 7, "parameters": 318_000}
    spread = {} if unsure is None else {"p10_ms": latency_ms - unsure, "p90_ms": latency_ms + unsure}
    return Measurement(**{"latency_ms": latency_ms, "latency": latency(latency_ms, **spread), **costs, **changes})


def probe(keep_blocks: int = 0, resolution: int = 32, val_accuracy: float = 0.5, **changes: Any) -> Probe:
    """Of mobilenet_v2_0.35, 0.1 ms and a million FLOPs for each block and each 32 px of a side."""
    size = (keep_blocks or 18) * resolution // 32
    cost = measurement(size / 10, size * 1_000_000, latency=deployed_latency(size / 10, size / 10 * 1.01))
    about = {"backbone": "mobilenet_v2_0.35", "blocks": 18, "channels": 8, "strength": 0.1, "measurement": cost}
    values = {"keep_blocks": keep_blocks, "resolution": resolution, "val_accuracy": val_accuracy}
    return Probe(**{**about, **values, **changes})


def network_map(*probes: Probe, **changes: Any) -> Map:
    """On 1,000 validation pictures of CIFAR-10."""
    sides = tuple(sorted({one.resolution for one in probes}))
    digests = {"weights": "w" * 64, "split": "s" * 64, "machine": "m" * 64}
    sizes = {"n_train": 4000, "n_val": 1000, "of_train": 4000, "of_val": 1000}
    about = {"backbone": "mobilenet_v2_0.35", "dataset": "cifar10", "resolutions": sides, "seconds": 1.0}
    return Map(**{**about, **digests, **sizes, "probes": probes, **changes})


def final_costs(**changes: Any) -> FinalCosts:
    costs = {"parameters": 318_000, "macs": 5_000_000, "flops": 10_000_000}
    return FinalCosts(**{**costs, "latency": latency(p99_ms=1.5), "throughput": {"32": 1000.0}, **changes})


def fingerprint(**changes: Any) -> Fingerprint:
    """Of a study of custom_cnn on digits."""
    values = {
        "backbone": "custom_cnn",
        "weights": "w" * 64,
        "dataset": "digits",
        "dataset_digest": "d" * 64,
        "split": "s" * 64,
        "train_size": 100,
        "val_size": 50,
        "space": {"unfreeze_depth": [0, 4], "resolution": [16, 32], "dropout": [0.0, 0.6], "batch_size": 32},
        "epochs": 4,
        "seed": 7,
        "stopping": "dominance",
        "reduction_factor": 2,
        "cache_dtype": "float16",
        **COMMON,
        "versions": {"keras": "0"},
        "latency_protocol": 2,
    }
    return Fingerprint(**values | changes)


def form(
    name: str = "litert", ms: float | None = 1.0, lost: int = 0, gained: int = 0, unsure: float = 0.0, **changes: Any
) -> Form:
    """Of trial 7 on 2,000 test pictures, 1,800 of them right as trained; `unsure`: share of the latency."""
    latency = None if ms is None else deployed_latency(ms, unsure * ms + ms)
    pairs = Pairs(1800 - lost, lost, gained, 200 - gained)
    values = {"study_id": "s", "label": "7", "run": "r" * 64, "format": name, "pairs": pairs, "same_class": 0.99}
    numbers = {"max_difference": 0.25, "bytes": 2**20, "runtime": latency.measured_in if latency else "Keras"}
    return Form(**{**values, **numbers, "latency": latency, **changes})
