"""The end of a search: the front, and what nearly got there, is measured again, in rounds together."""

from collections.abc import Sequence

import optuna

from datasets.wording import counted
from hpo.config import StudyConfig
from hpo.errors import ModelError, TaskFailed, WorkerLost
from hpo.search.parts import Display, Parts
from hpo.worker import heartbeat
from hpo.worker.executor import Executor, wait
from hpo.worker.facts import Facts
from hpo.worker.job import Job
from studies import attributes
from studies.latencies import Latencies, latencies_of
from studies.pareto import near_front
from studies.paths import StudyFiles
from studies.records import CompleteTrial, TrialRecord, read_study

MOST_TIMES = 3  # what is measured again may let others near the front


def confirm_front(
    study: optuna.Study, config: StudyConfig, facts: Facts, workers: Executor, display: Display, parts: Parts
) -> list[TrialRecord]:
    """All records, after every architecture on or near the front was measured again that was not before.

    What cannot be measured again stays as it was, and is noted.
    """
    records = read_study(study)
    for _ in range(MOST_TIMES):
        near = {record.candidate.architecture_key(): record for record in near_front(records)}
        if near.keys() <= set(latencies_of(study).again):
            break
        text = f"measuring the latencies of the front again: {counted(len(near), 'architecture')}"
        display.note(text)
        try:
            _measure_again(study, list(near.values()), records, config, facts, workers, display, parts)
        except (ModelError, WorkerLost, TaskFailed) as error:
            display.note(f"the front could not be measured again: {error}")
            break
        records = read_study(study)
    return records


def _measure_again(
    study: optuna.Study,
    near: Sequence[CompleteTrial],
    records: Sequence[TrialRecord],
    config: StudyConfig,
    facts: Facts,
    workers: Executor,
    display: Display,
    parts: Parts,
) -> None:
    study_id, folder = study.user_attrs[attributes.STUDY_ID], StudyFiles(config.study_dir).trials
    jobs = [Job(config, study_id, record.number, record.candidate, facts, folder) for record in near]
    everything = [record.candidate.architecture for record in records if record.candidate and record.measurement]
    progress = jobs[0].files.progress
    heartbeat.begin(progress)
    try:
        future = workers.submit(parts.measure_again, jobs, list(dict.fromkeys(everything)), progress=progress)
        measured = wait(future, lambda: display.tick({"the front": progress}), progress, config.stall_timeout)
    finally:
        progress.unlink(missing_ok=True)
    before = latencies_of(study).by_architecture
    again = [record.candidate.architecture_key() for record in near]
    Latencies({**before, **measured}, again).keep(study)
