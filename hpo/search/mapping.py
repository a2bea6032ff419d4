"""The map of a network: its probes at all sides, the smallest first, before the first trial.

Each side is on the disk when it is done (`runs/<study>/map/`), so that a call that was interrupted goes on, and that a
search finds what `hpo.map` has probed before it.
"""

import functools
import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import optuna

from hpo.config import StudyConfig
from hpo.errors import BadField, StudyStopped, TaskFailed, WorkerLost
from hpo.worker import heartbeat
from hpo.worker.facts import Facts
from hpo.worker.mapping import probe_side
from hpo.worker.pool import StepWatcher, Watcher, Workers, wait
from hpo.worker.session import prepare
from studies import attributes, strict
from studies.artifacts import show
from studies.objectives import COSTS
from studies.paths import StudyFiles, TrialFiles, write_text
from studies.plots.probes import draw_page, map_data
from studies.probes import Map, Probe, map_of
from studies.tables.probes import describe

ProbeSide = Callable[[StudyConfig, Facts, int], list[Probe]]


def make_map(
    config: StudyConfig,
    facts: Facts,
    workers: Workers,
    watcher: Watcher,
    probe_side: ProbeSide,
    on_side: Callable[[int, int], None] = lambda done, total: None,
) -> Map:
    """The map of the configuration's backbone on its data.

    Args:
        config: of the study; what it searches does not matter.
        facts: of it.
        workers: do the work.
        watcher: hears of each side when it is done.
        probe_side: `hpo.worker.mapping.probe_side`, or what stands in for it.
        on_side: told how many sides are done, of how many.

    Raises:
        WorkerLost, TaskFailed: a side cannot be probed.
    """
    folder, empty = StudyFiles(config.study_dir).map, _empty(config, facts)
    sides = {side: _known(folder / f"{side}.json", empty) for side in facts.resolutions}
    missing = [side for side, known in sides.items() if known is None]
    if missing:
        watcher.note(
            f"mapping {config.backbone}: linear probes of {len(facts.mapped_blocks)} places at "
            f"{', '.join(map(str, missing))} px, on {empty.n_train} of {facts.n_train} pictures to train on"
        )
    for side in missing:
        on_side(sum(one is not None for one in sides.values()), len(sides))
        made = _side(config, facts, side, empty, workers, watcher, probe_side)
        write_text(folder / f"{side}.json", strict.to_json(made))
        sides[side] = made
        best = max(made.probes, key=lambda probe: (probe.val_accuracy, -probe.flops))
        watcher.note(f"map at {side} px: {describe(best)} ({made.seconds:.0f} s)")
    done = [one for one in sides.values() if one is not None]
    return replace(
        empty,
        probes=tuple(probe for one in done for probe in one.probes),
        seconds=sum(one.seconds for one in done),
    )


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
        text = f"looking at data and weights of {config.backbone}"
        watcher.note(text)
        with Workers(config.workers, config.device, StudyFiles(config.study_dir).worker_log) as workers:
            facts = wait(workers.submit(prepare, config), functools.partial(watcher.waiting, text))
            maps.append(make_map(config, facts, workers, watcher, probe_side, watcher.steps))
    return maps


def _side(
    config: StudyConfig,
    facts: Facts,
    side: int,
    empty: Map,
    workers: Workers,
    watcher: Watcher,
    probe_side: ProbeSide,
) -> Map:
    """One side after the other: a worker uses all cores, and latencies are measured alone."""
    begun = time.monotonic()
    progress = TrialFiles(StudyFiles(config.study_dir).map, side).progress
    heartbeat.begin(progress)
    try:
        future = workers.submit(probe_side, config, facts, side)
        probes = wait(future, lambda: watcher.tick({f"map at {side} px": progress}), progress, config.stall_timeout)
    finally:
        progress.unlink(missing_ok=True)
    return replace(empty, probes=tuple(probes), seconds=time.monotonic() - begun)


def _empty(config: StudyConfig, facts: Facts) -> Map:
    """All that identifies a map, without probes."""
    machine = json.dumps(facts.machine, sort_keys=True).encode()
    return Map(
        backbone=config.backbone,
        dataset=facts.dataset,
        weights=facts.weights_digest,
        split=facts.split_digest,
        machine=hashlib.sha256(machine).hexdigest(),
        n_train=min(facts.n_train, config.map_size),
        n_val=min(facts.n_val, config.map_size),
        of_train=facts.n_train,
        of_val=facts.n_val,
        resolutions=facts.resolutions,
        probes=(),
        seconds=0.0,
    )


def _known(path: Path, empty: Map) -> Map | None:
    """What an earlier call left of a side, if it is of the same map."""
    try:
        found = strict.from_json(Map, path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    same = replace(found, probes=(), seconds=0.0, resolutions=empty.resolutions) == empty
    return found if same and found.probes else None


def map_for(
    study: optuna.Study, config: StudyConfig, facts: Facts, workers: Workers, watcher: Watcher, probe_side: ProbeSide
) -> Map:
    """The map that the study keeps, or a new one, which it keeps from then on, with its figures for the dashboard.

    Raises:
        StudyStopped: it cannot be made.
    """
    found = map_of(study)
    if found is not None and found.complete and replace(found, probes=(), seconds=0.0) == _empty(config, facts):
        return found
    try:
        found = make_map(config, facts, workers, watcher, probe_side)
    except (WorkerLost, TaskFailed) as error:
        raise StudyStopped(f"the map could not be made: {error}; --no-map leaves it out", []) from error
    study.set_user_attr(attributes.MAP, strict.to_values(found))
    show(study, {f"map_{cost.stem}": draw_page(map_data([found], cost)) for cost in COSTS})
    return found
