"""What is not like for like between studies that stand side by side, in sentences."""

from collections.abc import Callable, Sequence
from typing import Any

from studies.comparison import Studied
from studies.report.wording import counted, listed

# Dimensions with a sentence of their own, or that follow from the backbone.
APART = ("resolution", "unfreeze_depth")
ALIKE = (
    "The studies agree in training pictures, epochs, sides of pictures, searched values, early stopping, stored "
    "features, numbers of trials, budgets and versions."
)


def notes(studies: Sequence[Studied]) -> tuple[str, ...]:
    """A sentence for each thing that differs and may explain a difference of results; `ALIKE` where nothing does."""
    said = [*_greyed(studies), *_flattered(studies)]
    for what, value in (
        ("Training pictures", lambda study: f"{study.fingerprint.train_size:,}"),
        ("Epochs of a trial", lambda study: f"at most {study.fingerprint.epochs:,}"),
        ("Sides at which pictures are seen", lambda study: f"{_sides(study)} px"),
        ("Early stopping", _stopping),
        ("Stored views of augmented pictures", lambda study: str(study.fingerprint.views or "none")),
        ("Stored features", lambda study: study.fingerprint.cache_dtype or "unknown"),
        ("Ended trials", lambda study: f"{sum(record.counts for record in study.records):,}"),
        ("Budgets", _budget),
        ("Versions", _versions(studies)),
    ):
        said += _differing(studies, what, value)
    for backbone in dict.fromkeys(study.backbone for study in studies):
        searched = [one for one in studies if one.backbone == backbone and "keep_blocks" in one.fingerprint.space]
        said += _differing(
            searched, "Places where networks end", lambda study: study.fingerprint.ends or "behind blocks"
        )
        same = [one for one in studies if one.backbone == backbone]
        said += _differing(same, f"Versions of the code of {backbone}", lambda study: study.fingerprint.short_source)
    dimensions = dict.fromkeys(name for study in studies for name in study.fingerprint.space if name not in APART)
    other = [name for name in dimensions if len({_texts(study.fingerprint.space.get(name)) for study in studies}) > 1]
    if other:
        said.append(f"Searched over different values: {', '.join(other)}.")
    evaluated = [study for study in studies if study.finals]
    said += _differing(evaluated, "Training runs of a final model", _runs)
    return tuple(said) or (ALIKE,)


def _greyed(studies: Sequence[Studied]) -> list[str]:
    grey = [study for study in studies if study.greyed]
    if not grey:
        return []
    others = "; the others see their colours" if len(grey) < len(studies) else ""
    verb = "sees" if len(grey) == 1 else "see"
    return [f"{listed([_named(study) for study in grey])} {verb} the brightness of the pictures alone{others}."]


def _flattered(studies: Sequence[Studied]) -> list[str]:
    seen = [study for study in studies if study.flattered]
    if not seen:
        return []
    return [
        f"The weights that {listed([_named(study) for study in seen])} begin{'s' * (len(seen) == 1)} with were trained "
        "on training pictures of this data set, validation pictures among them: validation accuracy looks better than "
        "it is. Test pictures were not among them."
    ]


def _named(study: Studied) -> str:
    return f"{study.backbone} ({study.name})"


def _differing(studies: Sequence[Studied], what: str, value: Callable[[Studied], str]) -> list[str]:
    """Which values there are, and in which studies, such as `Budgets differ: none in a and b; 5 ms in c.`."""
    names: dict[str, list[str]] = {}
    for study in studies:
        names.setdefault(value(study), []).append(study.name)
    if len(names) < 2:
        return []
    return [f"{what} differ: {'; '.join(f'{text} in {listed(own)}' for text, own in names.items())}."]


def _sides(study: Studied) -> str:
    mark = study.fingerprint
    return str(mark.picture_side) if mark.is_hypermodel else _texts(mark.space.get("resolution"))


def _texts(values: Any) -> str:
    """As a fingerprint describes a dimension: a list, or one that is fixed."""
    if values is None:
        return "unknown"
    return ", ".join(map(str, values)) if isinstance(values, list) else str(values)


def _budget(study: Studied) -> str:
    mark = study.fingerprint
    limits = [f"{mark.max_latency_ms:g} ms"] if mark.max_latency_ms else []
    limits += [f"{mark.max_gflops:g} GFLOPs"] if mark.max_gflops else []
    return listed(limits) or "none"


def _stopping(study: Studied) -> str:
    mark = study.fingerprint
    return mark.stopping if mark.stopping == "none" else f"{mark.stopping}, factor {mark.reduction_factor}"


def _versions(studies: Sequence[Studied]) -> Callable[[Studied], str]:
    """Of those packages alone that differ."""
    every = [study.fingerprint.versions or {} for study in studies]
    names = sorted({name for versions in every for name in versions})
    differ = [name for name in names if len({versions.get(name) for versions in every}) > 1]

    def text(study: Studied) -> str:
        versions = study.fingerprint.versions or {}
        return ", ".join(f"{name} {versions.get(name, 'unknown')}" for name in differ)

    return text


def _runs(study: Studied) -> str:
    return listed(list(dict.fromkeys(counted(len(model.runs), "run") for model in study.finals)))
