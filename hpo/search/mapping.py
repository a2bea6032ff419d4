"""The map of a network: its probes at all sides, the smallest first.

Each side is on the disk when it is done (`runs/<study>/map/`), so that a call that was interrupted goes on, and that a
search finds what `hpo.map` has probed before it.
"""

import concurrent.futures
import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import optuna

from hpo.config import StudyConfig
from hpo.errors import BadField
from hpo.search.looking import first_look
from hpo.worker import heartbeat
from hpo.worker.executor import Executor, StepWatcher, Watcher, wait
from hpo.worker.facts import Facts
from hpo.worker.mapping import probe_side
from hpo.worker.pool import make_workers
from hpo.worker.session import prepare
from studies import attributes, strict
from studies.artifacts import show
from studies.objectives import COSTS
from studies.paths import StudyFiles, TrialFiles, write_text
from studies.probes import Map, Probe, map_of
from studies.tables.probes import describe

ProbeSide = Callable[[StudyConfig, Facts, int], list[Probe]]


class Mapping:
    """A map under way: its sides one after the other, since a worker uses all cores and latencies are measured alone.

    Args:
        config: of the study; what it searches does not matter.
        facts: of it.
        watcher: hears of each side when it is done.
        known: a map whose sides need not be probed.
    """

    def __init__(self, config: StudyConfig, facts: Facts, watcher: Watcher, known: Map | None = None):
        self._config, self._facts, self._watcher = config, facts, watcher
        self._folder, self._empty = StudyFiles(config.study_dir).map, _empty(config, facts)
        self._begun = 0.0
        self.future: concurrent.futures.Future[list[Probe]] | None = None  # of the side that is probed
        if known is not None and known.complete and _bare(known) == self._empty:
            self.found = known
        else:
            left = (_known(self._folder / f"{side}.json", self._empty) for side in facts.resolutions)
            self.found = _joined(self._empty, [one for one in left if one is not None])
        if self.missing:
            pictures = f"{self.found.n_train} of {facts.n_train} pictures to train on"
            watcher.note(
                f"mapping {config.backbone}: linear probes of {len(facts.mapped_blocks)} places at "
                f"{', '.join(map(str, self.missing))} px, on {pictures}"
            )

    @property
    def missing(self) -> tuple[int, ...]:
        """The sides that are still to be probed, ascending."""
        done = {probe.resolution for probe in self.found.probes}
        return tuple(side for side in self._facts.resolutions if side not in done)

    @property
    def progress(self) -> Path:
        """Signs of life of the side that is probed."""
        return TrialFiles(self._folder, self.missing[0]).progress

    def submit(self, workers: Executor, probe_side: ProbeSide) -> "concurrent.futures.Future[list[Probe]]":
        """Have a worker probe the next side."""
        self._begun = time.monotonic()
        heartbeat.begin(self.progress)
        self.future = workers.submit(probe_side, self._config, self._facts, self.missing[0], progress=self.progress)
        return self.future

    def tick(self) -> dict[str, Path]:
        """What a watcher is told while a side is probed."""
        return {f"map at {self.missing[0]} px": self.progress}

    def take(self, probes: list[Probe]) -> None:
        """Keep the side that was submitted."""
        side = self.missing[0]
        made = replace(self._empty, probes=tuple(probes), seconds=time.monotonic() - self._begun)
        write_text(self._folder / f"{side}.json", strict.to_json(made))
        self.clear()
        self.found = _joined(self._empty, [self.found, made])
        best = max(made.probes, key=lambda probe: (probe.val_accuracy, -probe.flops))
        self._watcher.note(f"map at {side} px: {describe(best)} ({made.seconds:.0f} s)")

    def clear(self) -> None:
        """No side is probed any more."""
        self.future = None
        if self.missing:
            self.progress.unlink(missing_ok=True)


def make_map(
    config: StudyConfig, facts: Facts, workers: Executor, watcher: StepWatcher, probe_side: ProbeSide = probe_side
) -> Map:
    """The map of the configuration's backbone on its data, without a search.

    Raises:
        WorkerLost, TaskFailed: a side cannot be probed.
    """
    mapping = Mapping(config, facts, watcher)
    total = len(facts.resolutions)
    while mapping.missing:
        watcher.steps(total - len(mapping.missing), total)
        future = mapping.submit(workers, probe_side)
        try:
            probes = wait(future, lambda: watcher.tick(mapping.tick()), mapping.progress, config.stall_timeout)
        finally:
            mapping.clear()
        mapping.take(probes)
    return mapping.found


def map_networks(configs: Sequence[StudyConfig], watcher: StepWatcher, probe_side: ProbeSide = probe_side) -> list[Map]:
    """The maps of several networks, one after the other.

    Raises:
        BadInput, DataError, ModelError: the user's to mend.
        WorkerLost, TaskFailed: a side cannot be probed; those before it are kept.
    """
    for config in configs:
        if config.weights == "none":
            raise BadField("weights", "must be pretrained or a .h5 file: a map is of frozen features. Received: none")
    maps = []
    for config in configs:
        with make_workers(config, StudyFiles(config.study_dir).worker_log, prepare) as workers:
            facts = first_look(config, workers, watcher, f"looking at data and weights of {config.backbone}")
            maps.append(make_map(config, facts, workers, watcher, probe_side))
    return maps


def _empty(config: StudyConfig, facts: Facts) -> Map:
    """All that identifies a map, without probes."""
    about = facts.machine | ({"decoded": "network"} if config.decodes_each else {})  # latencies depend on that, too
    machine = json.dumps(about, sort_keys=True).encode()
    return Map(
        backbone=config.backbone,
        dataset=facts.dataset,
        weights=facts.frozen,
        split=facts.split_digest,
        machine=hashlib.sha256(machine).hexdigest(),
        n_train=min(facts.n_train, config.map_size),
        n_val=min(facts.n_val, config.map_size),
        of_train=facts.n_train,
        of_val=facts.n_val,
        resolutions=facts.resolutions,
        probes=(),
        seconds=0.0,
        ends=facts.ends,
    )


def _bare(found: Map) -> Map:
    return replace(found, probes=(), seconds=0.0)


def _joined(empty: Map, parts: Sequence[Map]) -> Map:
    """One map of several that have different sides, the smallest first."""
    probes = sorted((probe for part in parts for probe in part.probes), key=lambda probe: probe.resolution)
    return replace(empty, probes=tuple(probes), seconds=sum(part.seconds for part in parts))


def _known(path: Path, empty: Map) -> Map | None:
    """What an earlier call left of a side, if it is of the same map."""
    try:
        found = strict.from_json(Map, path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    same = replace(_bare(found), resolutions=empty.resolutions) == empty
    return found if same and found.probes else None


def keep(study: optuna.Study, found: Map) -> None:
    """Keep a complete map with the study, with its figures for the dashboard."""
    if map_of(study) != found:
        from studies.plots.probes import draw_page, map_data  # with Matplotlib and Plotly

        study.set_user_attr(attributes.MAP, strict.to_values(found))
        show(study, {f"map_{cost.stem}": draw_page(map_data([found], cost)) for cost in COSTS})
