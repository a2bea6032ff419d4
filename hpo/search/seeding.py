"""The first candidates of a study that has a map: where it says that a network is worth training."""

from collections.abc import Callable
from typing import Any

from hpo.search.space import Space, usual
from models.candidate import Candidate
from studies.probes import Map, Probe, enough, front

# A short network has few features, of which dropout leaves too few, and a head that knows them from the start.
TAIL: dict[str, Any] = {"head_width": 0, "dropout": 0.0, "learning_rate": 1e-3, "lr_schedule": "cosine"}
WHOLE: dict[str, Any] = {"head_width": 0, "dropout": 0.2, "learning_rate": 3e-4, "lr_schedule": "warmup_cosine"}
HEAD: dict[str, Any] = {"head_width": 0, "dropout": 0.2, "learning_rate": 3e-3, "lr_schedule": "cosine"}
DEPTH = 2  # stages that are fine-tuned
SGD_FACTOR = 50  # between the usual rates of Adam and of SGD with momentum


def usual_way(probe: Probe, depth: int, space: Space) -> Candidate:
    """To train a linear head where a probe stands, and so many stages below it."""
    values = _trained(depth, probe.keep_blocks)
    return usual(space, resolution=probe.resolution, keep_blocks=probe.keep_blocks, unfreeze_depth=depth, **values)


def _trained(depth: int, keep_blocks: int) -> dict[str, Any]:
    return HEAD if depth == 0 else TAIL if keep_blocks else WHOLE


def usual_rate(candidate: Candidate) -> float:
    """The learning rate that is a good guess for what a candidate trains."""
    trained = _trained(candidate.unfreeze_depth, candidate.keep_blocks)
    return float(trained["learning_rate"]) * (SGD_FACTOR if candidate.optimizer == "sgd" else 1)


def seeds(found: Map, space: Space, allows: Callable[[Candidate], bool] = lambda candidate: True) -> list[Candidate]:
    """The most accurate probe at the smallest side as a head, which is soon there, and a fine-tune for each side.

    When the map is complete also the most accurate probe of all as a head, and last the whole network fine-tuned at the
    largest side: what a map that is under way says to begin with is what it says when it is complete.

    A side is fine-tuned where the network ends as early as its frozen accuracy allows (`studies.probes.enough`): what
    lies behind costs time in training and at inference and has nothing to add. What is not allowed, being over a
    budget, is left out before the choice.
    """
    probes = [probe for probe in found.probes if allows(usual_way(probe, 0, space))]
    if not probes:
        return []
    smallest = min(probe.resolution for probe in probes)
    first = max((p for p in probes if p.resolution == smallest), key=lambda probe: probe.val_accuracy)
    tails = [
        usual_way(probe, min(DEPTH, space.stages_of(probe.keep_blocks)), space)
        for probe in enough(probes, found.n_val).values()
    ]
    candidates = [usual_way(first, 0, space), *tails]
    if found.complete:
        best = max(front(probes), key=lambda probe: probe.val_accuracy)
        candidates.append(usual_way(best, 0, space))
        # Frozen features may say that the end is not needed where fine-tuning needs it: the most accurate may be there.
        whole = usual(space, resolution=max(found.resolutions), unfreeze_depth=min(DEPTH, space.stages_of(0)), **WHOLE)
        candidates += [whole] if allows(whole) else []
    return list(dict.fromkeys(candidates))
