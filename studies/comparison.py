"""Studies on the same pictures, side by side: a row for each kind of model of each study, and one joint front."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from models.candidate import AnyCandidate
from studies.errors import NotComparable
from studies.finals import FinalCosts, FinalModel, Guesses
from studies.fingerprint import HYPERMODEL, PRETRAINED, SCRATCH, Fingerprint, origin
from studies.outcomes import Measurement
from studies.pareto import front
from studies.paths import BASELINE
from studies.records import CompleteTrial, TrialRecord, complete, linear_probe

# What must be equal for accuracies and latencies to be comparable: the pictures, and what measured.
COMMON = (
    "dataset",
    "dataset_digest",
    "split",
    "device",
    "backend",
    "dtype",
    "latency_protocol",
    "latency_runtime",
    "latency_threads",
    "latency_device",
    "decoded",
)
FROZEN, CUSTOMISED = f"{PRETRAINED}, frozen", "customised"


@dataclass(frozen=True)
class Studied:
    """A study as it is compared.

    Attributes:
        options: that it was run with.
        finals: evaluated models; `guesses` what their runs take the test pictures for, by label and seed.
        greyed: its network sees the brightness alone of pictures that have colour.
        flattered: its weights were trained on pictures that it validates on.
    """

    name: str
    fingerprint: Fingerprint
    records: Sequence[TrialRecord]
    options: Mapping[str, Any] = field(default_factory=dict)
    finals: Sequence[FinalModel] = ()
    guesses: Mapping[tuple[str, int], Guesses] = field(default_factory=dict)
    greyed: bool = False
    flattered: bool = False

    @property
    def backbone(self) -> str:
        """Its name."""
        return self.fingerprint.backbone

    @property
    def from_scratch(self) -> bool:
        """Whether its networks began with random weights."""
        return self.fingerprint.from_scratch

    @property
    def origin(self) -> str:
        """What its networks begin with."""
        return origin(self.fingerprint, self.options)


@dataclass(frozen=True)
class Row:
    """The model that stands for one kind of a study: of the search, of the final evaluation, or of both.

    Attributes:
        kind: FROZEN, CUSTOMISED, SCRATCH or HYPERMODEL; with a file of weights its name stands in it.
        name: of the model among the others, for sentences and figures.
        record: the trial; None for a baseline that only the final evaluation has.
        final: the same candidate on the test pictures; None where it was not evaluated.
        on_front: of all studies together.
        val_size: pictures that val_accuracy is of.
    """

    backbone: str
    kind: str
    name: str
    study: str
    record: CompleteTrial | None
    final: FinalModel | None
    on_front: bool
    val_size: int

    @property
    def candidate(self) -> AnyCandidate:
        """What was decided."""
        if self.record is not None:
            return self.record.candidate
        assert self.final is not None
        return self.final.candidate

    @property
    def costs(self) -> Measurement | FinalCosts:
        """At inference, as the search measured them where it did."""
        if self.record is not None:
            return self.record.measurement
        assert self.final is not None
        return self.final.costs


def check_comparable(studies: Sequence[Studied]) -> None:
    """That accuracies and latencies of these studies may stand side by side.

    Raises:
        NotComparable: they differ in a field of `COMMON`.
    """
    first = studies[0]
    for other in studies[1:]:
        names = [name for name in COMMON if name != "split" or not _same_validation(first, other)]
        pairs = {name: (getattr(first.fingerprint, name), getattr(other.fingerprint, name)) for name in names}
        differing = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
        if differing:
            values = "; ".join(f"{name} ({there} there, {here} here)" for name, (there, here) in differing.items())
            raise NotComparable(f"studies {first.name} and {other.name} cannot be compared: they differ in {values}")


def _same_validation(one: Studied, other: Studied) -> bool:
    """With one seed the validation split is the same whatever is trained on (`datasets.splits.split`)."""
    here, there = one.fingerprint, other.fingerprint
    return (here.seed, here.val_size) == (there.seed, there.val_size) and here.train_size != there.train_size


def joint_front(studies: Sequence[Studied]) -> list[CompleteTrial]:
    """The trials that none of any study dominates, from the fastest to the slowest."""
    return front([record for study in studies for record in study.records])


def rows(studies: Sequence[Studied]) -> list[Row]:
    """The models that stand for each study, together by backbone in the order of the studies, from scratch last.

    The frozen baseline is the most accurate trial with a linear head on frozen layers, else the one that only the final
    evaluation has; the customised one the most accurate of all other trials; from scratch, the most accurate of a
    study without weights. Of equally accurate trials the one on the joint front, then on the study's own, then the
    faster one. What a study does not have has no row.
    """
    joint = {id(record) for record in joint_front(studies)}
    backbones = list(dict.fromkeys(study.backbone for study in studies))
    order = sorted(studies, key=lambda study: (backbones.index(study.backbone), study.from_scratch))
    found = [row for study in order for row in _rows_of(study, joint)]
    times = Counter(row.name for row in found)
    return [replace(row, name=f"{row.name} ({row.study})") if times[row.name] > 1 else row for row in found]


def _rows_of(study: Studied, joint: set[int]) -> list[Row]:
    own = {id(record) for record in front(study.records)}
    trained = complete(study.records)
    if study.from_scratch:
        chosen = [(SCRATCH, _best(trained, joint, own))]
    else:
        customised = [record for record in trained if not record.candidate.linear_probe]
        chosen = [(FROZEN, linear_probe(trained)), (CUSTOMISED, _best(customised, joint, own))]
    found = []
    for kind, record in chosen:
        final = _final_of(study, kind, record)
        if record is not None or final is not None:
            on_front = record is not None and id(record) in joint
            named, name = _named(study, kind)
            size = study.fingerprint.val_size
            found.append(Row(study.backbone, named, name, study.name, record, final, on_front, size))
    return found


def _best(records: Sequence[CompleteTrial], joint: set[int], own: set[int]) -> CompleteTrial | None:
    def rank(record: CompleteTrial) -> tuple[float, bool, bool, float]:
        return record.val_accuracy, id(record) in joint, id(record) in own, -record.latency_ms

    return max(records, key=rank, default=None)


def _final_of(study: Studied, kind: str, record: CompleteTrial | None) -> FinalModel | None:
    """Of the same candidate; where the search has no baseline, that of the evaluation."""
    for model in study.finals:
        if model.candidate == record.candidate if record is not None else kind == FROZEN and model.label == BASELINE:
            return model
    return None


def _named(study: Studied, kind: str) -> tuple[str, str]:
    """The kind and the model by the weights that it begins with."""
    if study.origin == HYPERMODEL:
        return HYPERMODEL, f"{study.backbone} ({HYPERMODEL})"
    word = "frozen" if kind == FROZEN else kind
    if study.origin in (PRETRAINED, SCRATCH):
        return kind, f"{study.backbone} {word}"
    return f"{study.origin}, {word}", f"{study.backbone} ({study.origin}) {word}"
