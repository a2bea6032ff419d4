"""Made-up records: all that they must have, with what a test is about given by name."""

from typing import Any

from studies.finals import FinalCosts
from studies.fingerprint import Fingerprint
from studies.forms import Form
from studies.outcomes import DeployedLatency, Latency, Measurement
from studies.paired import Pairs

COMMON = {"device": "test device", "backend": "none", "dtype": "float32"}


def latency(median_ms: float = 1.0, **changes: Any) -> Latency:
    """From 0.9 (p10) over 1.2 (p90) to 2 times (p99) the median."""
    spread = {"p10_ms": 0.9 * median_ms, "p90_ms": 1.2 * median_ms, "p99_ms": 2 * median_ms}
    return Latency(**{"median_ms": median_ms, **spread, "runs": 50, "batch_size": 1, **COMMON, **changes})


def measurement(latency_ms: float = 1.0, flops: int = 2, **changes: Any) -> Measurement:
    costs = {"macs": flops // 2, "flops": flops, "other_flops": 7, "parameters": 318_000}
    return Measurement(**{"latency_ms": latency_ms, "latency": latency(latency_ms), **costs, **changes})


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


def deployed(ms: float = 1.0, **changes: Any) -> DeployedLatency:
    """In LiteRT with one thread; the median is 1.1 times the latency, p90 1.2 times and p99 2 times."""
    spread = {"median_ms": 1.1 * ms, "p10_ms": ms, "p90_ms": 1.2 * ms, "p99_ms": 2 * ms}
    about = {**COMMON, "backend": "LiteRT 2.3.0", "threads": 1, "runs": 50, "batch_size": 1}
    return DeployedLatency(**{"ms": ms, "high_ms": ms, **spread, **about, **changes})


def form(name: str = "litert", ms: float | None = 1.0, lost: int = 0, gained: int = 0, **changes: Any) -> Form:
    """Of trial 7 on 2,000 test pictures, of which the run as trained has 1,800 right."""
    latency = None if ms is None else deployed(ms)
    pairs = Pairs(1800 - lost, lost, gained, 200 - gained)
    values = {"study_id": "s", "label": "7", "run": "r" * 64, "format": name, "pairs": pairs, "same_class": 0.99}
    numbers = {"max_difference": 0.25, "bytes": 2**20, "runtime": latency.measured_in if latency else "Keras"}
    return Form(**{**values, **numbers, "latency": latency, **changes})
