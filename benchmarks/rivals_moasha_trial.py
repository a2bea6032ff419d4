"""One trial of rivals_moasha.py: Syne Tune's local backend starts it, it reports every epoch."""

import argparse
import pickle
import time
from pathlib import Path
from typing import Any

from models.quiet import quiet_import

with quiet_import():
    import keras
    import rivals_plain as plain
from syne_tune import Reporter

TYPES = {"dropout": float, "learning_rate": float, "lr_schedule": str, "run": Path}


class Report(keras.callbacks.Callback):
    def __init__(self, costs: tuple[float, int]):
        super().__init__()
        self._costs, self._report, self._start = costs, Reporter(), time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._report(
            epoch=epoch + 1,
            val_accuracy=logs["val_accuracy"],
            error=1 - logs["val_accuracy"],
            latency_ms=self._costs[0],
            flops=self._costs[1],
            train_seconds=time.monotonic() - self._start,
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in (*plain.SEARCHED, "run"):
        parser.add_argument(f"--{name}", type=TYPES.get(name, int), required=True)
    told = vars(parser.parse_known_args()[0])  # Syne Tune adds some of its own
    setup, pictures = pickle.loads(told["run"].read_bytes())
    candidate = setup.candidate(told)
    model, logits = plain.build(candidate, setup)
    report = Report(plain.costs(model, setup.task))
    plain.compile_for(logits, candidate, setup.config, len(pictures.x_train))
    plain.fit(logits, candidate, setup.config, pictures, [report])


if __name__ == "__main__":
    main()
