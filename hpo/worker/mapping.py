"""The probes of one side: every place where the network may end, by one pass over the pictures. Runs in a worker."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from datasets.splits import Split
from hpo.config import StudyConfig
from hpo.worker import session
from hpo.worker.costs import Costs
from hpo.worker.facts import Facts, check_unchanged
from hpo.worker.heartbeat import Beat, Heartbeat, Phase, SignOfLife, decoding
from hpo.worker.inputs import Sources
from hpo.worker.job import Job
from hpo.worker.machine_lock import MachineLock
from hpo.worker.session import Session
from hpo.worker.start import chosen
from models.candidate import Candidate
from studies.fingerprint import KERAS
from studies.outcomes import Latency, Measurement
from studies.paths import StudyFiles
from studies.probes import Probe


def probe_side(config: StudyConfig, facts: Facts, side: int) -> list[Probe]:
    """The probes at one side, in pixels, by the blocks that are kept.

    Raises:
        hpo.worker.facts.Changed: data, weights or machine are not those of the study.
        Exception: whatever the backend raises when memory runs out.
    """
    job = job_of(config, facts, side)
    heartbeat = Heartbeat(job.files.progress)
    try:
        here = session.current()
        check_unchanged(here.facts(config), facts)
        with MachineLock(config.cache_dir) as lock:
            return _probe(job, here, lock, heartbeat)
    finally:
        heartbeat.end()


def job_of(config: StudyConfig, facts: Facts, side: int) -> Job:
    """A frozen network with a last layer, at a side: what is probed where it is cut off further below."""
    candidate = Candidate(
        backbone=config.backbone,
        resolution=side,
        unfreeze_depth=0,
        head_width=0,
        dropout=0.0,
        learning_rate=1e-3,
        lr_schedule="constant",
    )
    return Job(config, "", side, candidate, facts, StudyFiles(config.study_dir).map)


def _probe(job: Job, here: Session, lock: MachineLock, beat: Beat) -> list[Probe]:
    from models.probe import fit_all

    config, facts = job.config, job.facts
    with lock.training():
        split = session.split_of(job, here, decoding(beat, lock.give_way))
    data = here.data(config, job.side)
    parts = chosen(split, data.labels, config.map_size, config.seed)
    jobs = [
        replace(job, candidate=replace(job.of_backbone, keep_blocks=blocks % len(facts.stages)))
        for blocks in facts.mapped_blocks
    ]
    with lock.training():
        beat(SignOfLife(Phase.EXTRACT, share=0.0))
        latencies = _latencies(jobs, here, lambda: beat(SignOfLife(Phase.LATENCY)))  # are measured meanwhile
        costs = [Costs(each, here, lock) for each in jobs]
        lock.give_way()  # each of these has let go of the machine
        features = _features(jobs, here, parts, lock, beat)
    beat(SignOfLife(Phase.PROBE))
    fitted = fit_all(
        [train for train, _ in features],
        data.labels[parts.train],
        len(facts.class_names),
        lambda: beat(SignOfLife(Phase.PROBE)),
    )
    accuracies = [probe.accuracy(val, data.labels[parts.val]) for probe, (_, val) in zip(fitted, features, strict=True)]
    return [
        Probe(
            backbone=config.backbone,
            keep_blocks=each.of_backbone.keep_blocks,
            blocks=len(facts.stages),
            resolution=each.of_backbone.resolution,
            channels=len(probe.weights),
            val_accuracy=accuracy,
            strength=probe.strength,
            measurement=Measurement(latency_ms=latency.record_ms, latency=latency, **cost.counts),
        )
        for each, cost, latency, probe, accuracy in zip(jobs, costs, latencies(costs), fitted, accuracies, strict=True)
    ]


def _latencies(
    jobs: Sequence[Job], here: Session, on_step: Callable[[], None]
) -> Callable[[Sequence[Costs]], Sequence[Latency]]:
    """Of all places, a function of what else they cost.

    Where latencies are estimated beside something else that begins here. Not yet for the next side: conversions would
    hold up the latencies of record of the trials that come before it.
    """
    job = jobs[0]
    if job.facts.machine.get("latency_runtime", KERAS) == KERAS:  # calls of the training backend
        return lambda costs: [cost.measurement(on_step).latency for cost in costs]
    estimated = here.survey(job).estimate([each.of_backbone.architecture for each in jobs], on_step)
    return lambda costs: estimated([cost.counts["flops"] for cost in costs])


def _features(
    jobs: Sequence[Job], here: Session, parts: Split, lock: MachineLock, beat: Beat
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pooled features (n, channels) of the training and the validation pictures for each job, read or computed."""
    from models.reuse.ends import keep
    from models.reuse.features import cut_name

    sources = [Sources(job, here, parts) for job in jobs]
    wanted = [source.features(cut_name(0, keep_blocks=source.job.of_backbone.keep_blocks)) for source in sources]
    missing = [number for number, sets in enumerate(wanted) if not all(features.present() for features in sets)]
    computed = dict(zip(missing, _computed([jobs[number] for number in missing], here, parts, lock, beat), strict=True))
    found = []
    for number, sets in enumerate(wanted):
        if number in computed:
            train, val = computed[number]
            keep(sources[number].cache, {features.key: x for features, x in zip(sets, (train, val), strict=True)})
        if all(features.present() for features in sets):  # rounded as they are kept, now as later
            train, val = (np.asarray(features.load(), "float32") for features in sets)
        found.append((train, val))
    return found


def _computed(
    jobs: Sequence[Job], here: Session, parts: Split, lock: MachineLock, beat: Beat
) -> list[tuple[np.ndarray, np.ndarray]]:
    """By one pass over the pictures."""
    from models.blocks import ends
    from models.reuse.ends import gather, pooled_at

    if not jobs:
        return []
    whole = here.network(replace(jobs[0], candidate=replace(jobs[0].of_backbone, keep_blocks=0))).base()
    places = ends(whole)
    tensors = [places[job.of_backbone.keep_blocks - 1].tensor for job in jobs]
    total = len(parts.train) + len(parts.val)
    run = pooled_at(whole.input, tensors, "average", total)
    images = here.data(jobs[0].config, jobs[0].side).images
    sets = []
    before = 0
    for rows in (parts.train, parts.val):

        def on_step(done: int, before: int = before) -> None:
            lock.give_way()
            beat(SignOfLife(Phase.EXTRACT, share=(before + done) / total))

        batches = (images[rows[start : start + 1024]] for start in range(0, len(rows), 1024))
        sets.append(gather(run, batches, on_step))
        before += len(rows)
    return list(zip(*sets, strict=True))
