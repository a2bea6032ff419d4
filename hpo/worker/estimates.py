"""Latencies of all places where a network may end, at one side, for a map: a few are measured, the others lie between.

They are no latencies of record, and are remembered apart from those, which take as many rounds as they need.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import asdict

from hpo.worker.bench import POLL_SECONDS, Bench, Part
from hpo.worker.latency_table import between, landmarks
from hpo.worker.memory import Memory, to_latency
from studies.outcomes import DeployedLatency


class Estimates:
    """Estimates in threads, which take turns.

    Args:
        bench: that measures.
        memory: where estimates are kept.
    """

    def __init__(self, bench: Bench, memory: Memory):
        self._bench, self._memory = bench, memory
        self._steps = 0

    def begin(
        self, trunks: Sequence[Part], on_step: Callable[[], None]
    ) -> Callable[[Sequence[int]], list[DeployedLatency]]:
        """Begin to estimate trunks that end behind one block after the other.

        That is in a thread, for which no interruption waits; what another thread or process has begun is waited for
        there, and then found.

        Returns:
            A function of their FLOPs that waits for them, and calls `on_step` when a step was done meanwhile. It raises
            what goes wrong.
        """
        chosen = landmarks(len(trunks))
        parts = [trunks[number] for number in chosen]
        future: Future[list[DeployedLatency]] = Future()

        def work() -> None:
            try:
                known = self._estimated(parts, [trunk for trunk in trunks if trunk not in parts])
                future.set_result([known[part] for part in parts])
            except Exception as error:
                future.set_exception(error)

        def wait(flops: Sequence[int]) -> list[DeployedLatency]:
            steps = self._steps
            while not future.done():
                if self._steps != steps:
                    steps = self._steps
                    on_step()
                time.sleep(POLL_SECONDS)
            return between(dict(zip((flops[number] for number in chosen), future.result(), strict=True)), flops)

        threading.Thread(target=work, name="latency", daemon=True).start()
        return wait

    def _estimated(self, parts: Sequence[Part], others: Sequence[Part]) -> dict[Part, DeployedLatency]:
        """Measured briefly, or remembered from another time.

        The others are converted, too, where they are small: a trial of such a place does not wait for that then.
        """
        with self._bench.alone(self._on_step):
            known = {part: latency for part in parts if (latency := self._remembered(part))}
            missing = [part for part in parts if part not in known]
            measured = self._bench.measure(missing, self._on_step, brief=True, spare=others)
            for part, latency in measured.latencies.items():
                self._memory.remember(_key(part), {"latency": asdict(latency)})
        for error in measured.errors.values():
            raise error
        return known | measured.latencies

    def _remembered(self, part: Part) -> DeployedLatency | None:
        known = self._memory.recall(_key(part))
        latency = to_latency(known["latency"]) if known else None
        return latency if isinstance(latency, DeployedLatency) else None

    def _on_step(self) -> None:
        self._steps += 1


def _key(part: Part) -> str:
    return f"estimate/{part.key}"
