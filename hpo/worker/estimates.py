"""Latencies of all places where a network may end, at one side, for a map: a few are measured, the others lie between.

They are no latencies of record, and are remembered apart from those, which take as many rounds as they need.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from contextlib import nullcontext
from dataclasses import asdict

from hpo.worker.bench import ESTIMATES, POLL_SECONDS, RECORD, Bench, Part
from hpo.worker.latency_table import between, landmarks
from hpo.worker.memory import Memory, to_latency
from studies.outcomes import DeployedLatency


class Estimates:
    """Estimates in threads, one after the other in the order in which they are asked for.

    Args:
        bench: that measures.
        memory: where estimates are kept.
    """

    def __init__(self, bench: Bench, memory: Memory):
        self._bench, self._memory = bench, memory
        self._begun: dict[tuple[Part, ...], Future[list[DeployedLatency]]] = {}
        self._latest: Future[list[DeployedLatency]] | None = None
        self._steps = 0

    def begin(
        self, trunks: Sequence[Part], on_step: Callable[[], None]
    ) -> Callable[[Sequence[int]], list[DeployedLatency]]:
        """Begin to estimate trunks that end behind one block after the other.

        That is in a thread, for which no interruption waits; what another process has begun is waited for there, and
        then found. What was begun here before is not begun again; if it failed, it is tried once more.

        Returns:
            A function of their FLOPs that waits for them, and calls `on_step` when a step was done meanwhile. It raises
            what goes wrong.
        """
        chosen, places = landmarks(len(trunks)), tuple(trunks)
        ahead = places in self._begun
        if not ahead:
            self._start(places, chosen)

        def wait(flops: Sequence[int]) -> list[DeployedLatency]:
            self._until(self._begun[places], on_step)
            if ahead and self._begun[places].exception():
                self._start(places, chosen)
                self._until(self._begun[places], on_step)
            found = self._begun[places].result()
            return between(dict(zip((flops[number] for number in chosen), found, strict=True)), flops)

        return wait

    def _until(self, future: Future[list[DeployedLatency]], on_step: Callable[[], None]) -> None:
        steps = self._steps
        while not future.done():
            if self._steps != steps:
                steps = self._steps
                on_step()
            time.sleep(POLL_SECONDS)

    def _start(self, trunks: tuple[Part, ...], chosen: Sequence[int]) -> None:
        """Measure the chosen ones in a thread, when what was begun before is done: the next side is not waited for."""
        before, future = self._latest, Future[list[DeployedLatency]]()
        self._begun[trunks] = self._latest = future

        def work() -> None:
            if before is not None:
                wait_for([before])
            try:
                parts = [trunks[number] for number in chosen]
                known = self._estimated(parts, [trunk for trunk in trunks if trunk not in parts])
                future.set_result([known[part] for part in parts])
            except Exception as error:
                future.set_exception(error)

        threading.Thread(target=work, name="latency", daemon=True).start()

    def _estimated(self, parts: Sequence[Part], others: Sequence[Part]) -> dict[Part, DeployedLatency]:
        """Measured briefly, or remembered from another time.

        The others are converted, too, where they are small: a trial of such a place does not wait for that then.
        """
        purpose = ESTIMATES if self._bench.converts_beside else RECORD
        with self._bench.alone(self._on_step, purpose):
            known = {part: latency for part in parts if (latency := self._remembered(part))}
            missing = [part for part in parts if part not in known]
            if not missing:
                return known
            for error in self._bench.convert(missing, self._on_step, others, purpose).values():
                raise error
            with nullcontext() if purpose == RECORD else self._bench.alone(self._on_step):
                measured = self._bench.measure(missing, self._on_step, brief=True)
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
