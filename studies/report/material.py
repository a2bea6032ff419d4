"""What a chapter is made from: the records of a study, its final evaluation, and which models are worth showing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna

from studies import attributes
from studies.finals import FinalModel, FinalRun, read_answers, read_runs, summarise
from studies.fingerprint import PRETRAINED, Fingerprint, fingerprint_of, origin
from studies.forms import Ranked, all_forms
from studies.kept import kept_if_readable
from studies.pareto import front
from studies.paths import StudyFiles, name_of
from studies.probes import Map, map_of
from studies.recommendation import Recommendation, ends_and_recommended, recommend
from studies.records import CompleteTrial, TrialRecord, complete, linear_probe, read_study
from studies.report.detail import Detail, ModelFile, choose, read_model_file
from studies.report.importance import Importances, importances
from studies.rules import default_rule


@dataclass(frozen=True)
class Material:
    """A study as it is reported.

    Attributes:
        options: that it was run with, by name.
        phases: seconds of each trial by phase (measure, prepare, train).
        finals: evaluated models, from the most to the least accurate; empty before `hpo.evaluate`.
        forms: of these models as deployed, and each as trained; empty before `hpo.evaluate --runtimes`.
        files: of the study.
        model_files: of the first run of each model that is shown in detail, by its label.
        command: that runs the study again.
        map: the probes that the search began with; None without them.
        asked_rule: of `studies.rules`; "" for the default.
    """

    name: str
    fingerprint: Fingerprint
    records: Sequence[TrialRecord]
    options: Mapping[str, Any] = field(default_factory=dict)
    phases: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    importances: Importances = field(default_factory=lambda: Importances({}, "not computed"))
    finals: Sequence[FinalModel] = ()
    forms: Sequence[Ranked] = ()
    files: StudyFiles = field(default_factory=lambda: StudyFiles(Path()))
    model_files: Mapping[str, ModelFile] = field(default_factory=dict)
    command: str = ""
    map: Map | None = None
    asked_rule: str = ""

    @property
    def complete(self) -> list[CompleteTrial]:
        """The completed trials."""
        return complete(self.records)

    @property
    def front(self) -> list[CompleteTrial]:
        """The members of the Pareto front, from the fastest to the slowest."""
        return front(self.records)

    @property
    def rule(self) -> str:
        """What recommends: the one that was asked for, else that for a study with this budget."""
        return self.asked_rule or default_rule(self.fingerprint.max_latency_ms, self.fingerprint.max_gflops)

    @property
    def origin(self) -> str:
        """What the networks begin with: `pretrained`, `from scratch`, or the name of a file."""
        return origin(self.fingerprint, self.options)

    @property
    def recommendation(self) -> Recommendation | None:
        """The recommended trial, and why; None without a completed trial."""
        return recommend(self.records, self.rule, self.fingerprint.val_size)

    @property
    def recommended_number(self) -> int | None:
        """Of the recommended trial."""
        recommendation = self.recommendation
        return recommendation.record.number if recommendation else None

    @property
    def details(self) -> list[Detail]:
        """The evaluated models that are shown in detail, the recommended one first; none before `hpo.evaluate`."""
        chosen = choose(self.finals, self.recommendation)
        return [replace(one, file=self.model_files.get(one.model.label, ModelFile())) for one in chosen]


@dataclass(frozen=True)
class Shown:
    """A model that is set beside the others, and why: `roles` such as "baseline" and "recommended"."""

    record: CompleteTrial
    roles: tuple[str, ...]
    final: FinalModel | None

    @property
    def name(self) -> str:
        """`trial 7`."""
        return f"trial {self.record.number}"

    @property
    def title(self) -> str:
        """`trial 7: most accurate, recommended`."""
        return f"{self.name}: {', '.join(self.roles)}" if self.roles else self.name


def most_accurate(records: Sequence[CompleteTrial]) -> CompleteTrial:
    """Of equally accurate ones the faster."""
    return max(records, key=lambda record: (record.val_accuracy, -record.latency_ms))


def baseline_of(material: Material) -> str:
    """What a linear head on the frozen network is called: by its weights."""
    return f"{PRETRAINED} baseline" if material.origin == PRETRAINED else f"baseline of {material.origin}"


def shown_models(material: Material) -> list[Shown]:
    """The baseline, the fastest and the most accurate of the front, the recommended one, and all evaluated ones."""
    if not material.complete:
        return []
    few = ends_and_recommended(material.records, material.rule, material.fingerprint.val_size)
    first, best = linear_probe(material.records), most_accurate(material.front)
    roles: dict[int, list[str]] = {}
    if first is not None:
        roles[first.number] = [baseline_of(material)]
    for record in few:
        own = roles.setdefault(record.number, [])
        if record is material.front[0]:
            own.append("fastest")
        if record.number == material.recommended_number:
            own.append("recommended")
        if record.number == best.number:
            own.append("most accurate")
    finals = {model.candidate: model for model in reversed(material.finals)}
    for record in material.complete:
        if record.candidate in finals and not any(
            by.candidate == record.candidate for by in material.complete if by.number in roles
        ):
            roles[record.number] = []
    by_number = {record.number: record for record in material.complete}
    return [
        Shown(record, tuple(roles[number]), finals.get(record.candidate))
        for number, record in sorted(by_number.items(), key=lambda item: item[1].latency_ms)
        if number in roles
    ]


def read_material(study: optuna.Study, folder: Path, command: str, rule: str = "") -> Material:
    """All of it from the database and from `folder`, that of the study's results; `rule` as `Material.asked_rule`."""
    records = read_study(study)
    files = StudyFiles(folder)
    finals = read_finals(files, study.user_attrs.get(attributes.STUDY_ID, ""), records)
    fingerprint = fingerprint_of(study)
    bare = Material(study.study_name, fingerprint, records, finals=finals, asked_rule=rule)
    return replace(
        bare,
        options=study.user_attrs.get(attributes.OPTIONS) or {},
        phases={trial.number: kept_if_readable(trial.user_attrs).seconds for trial in study.get_trials(deepcopy=False)},
        importances=importances(study, complete(records)),
        forms=all_forms(finals, files),
        files=files,
        model_files={
            one.model.label: read_model_file(files.run(one.model.label, one.model.runs[0].seed)) for one in bare.details
        },
        command=command,
        map=map_of(study),
    )


def read_finals(files: StudyFiles, study_id: str, records: Sequence[TrialRecord]) -> list[FinalModel]:
    """What `hpo.evaluate` left; results of another study of that name and damaged files are passed over."""
    runs = read_runs(files, study_id)
    return to_finals(runs, records, read_answers(files, runs))


def to_finals(
    runs: Sequence[FinalRun], records: Sequence[TrialRecord], answers: Mapping[tuple[str, int], np.ndarray]
) -> list[FinalModel]:
    """The models of runs beside what the search said of them; `answers` as `studies.finals.read_answers`."""
    accuracies = {record.candidate: record.val_accuracy for record in complete(records)}
    search = {run.label: accuracies.get(run.candidate) for run in runs}
    return summarise(runs, search, answers)


def label_of(model: FinalModel) -> str:
    """`trial 7` or `baseline`."""
    return name_of(model.label)
