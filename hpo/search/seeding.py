"""The first candidates of a study that has a map: where it says that a network is worth training."""

from collections.abc import Callable
from typing import Any

from hpo.search.space import Space, usual
from models.candidate import Candidate
from studies.probes import Map, Probe, enough, front

# A head that begins with the probe of its features loses by dropout: averages behind a ReLU are far from 0, and what is
# dropped of them is more than what tells classes apart (benchmarks/inner_ends.py).
TAIL: dict[str, Any] = {"head_width": 0, "dropout": 0.0, "learning_rate": 1e-3, "lr_schedule": "cosine"}
WHOLE: dict[str, Any] = {"head_width": 0, "dropout": 0.2, "learning_rate": 3e-4, "lr_schedule": "warmup_cosine"}
HEAD: dict[str, Any] = {"head_width": 0, "dropout": 0.0, "learning_rate": 3e-3, "lr_schedule": "cosine"}
DEPTH = 2  # stages that are fine-tuned
SGD_FACTOR = 50  # between the usual rates of Adam and of SGD with momentum
# Features that are right already are to be changed but little. Of fine-tuning, for a frozen error of 1; by
# benchmarks/first_rates.py: 1e-3 is best at an error of 0.29, 3e-4 at 0.13 and 0.075, 1e-4 at 0.057.
RATE_PER_ERROR, LEAST_RATE = 3.5e-3, 3e-5


def usual_way(probe: Probe, depth: int, space: Space) -> Candidate:
    """To train a linear head where a probe stands, and so many stages below it."""
    values = _trained(depth, probe.keep_blocks, probe.val_accuracy)
    return usual(space, resolution=probe.resolution, keep_blocks=probe.keep_blocks, unfreeze_depth=depth, **values)


def _trained(depth: int, keep_blocks: int, frozen: float) -> dict[str, Any]:
    """How, where the frozen network has this accuracy: heads begin anew, what is fine-tuned by what it has to gain."""
    if depth == 0:
        return HEAD
    values = TAIL if keep_blocks else WHOLE
    return values | {"learning_rate": max(LEAST_RATE, min(values["learning_rate"], RATE_PER_ERROR * (1 - frozen)))}


def usual_rate(candidate: Candidate, frozen: float) -> float:
    """The learning rate that is a good guess for what a candidate trains.

    Args:
        candidate: of any kind.
        frozen: validation accuracy of a linear classifier where its network ends, before anything is trained.
    """
    trained = _trained(candidate.unfreeze_depth, candidate.keep_blocks, frozen)
    return float(trained["learning_rate"]) * (SGD_FACTOR if candidate.optimizer == "sgd" else 1)


def seeds(found: Map, space: Space, allows: Callable[[Candidate], bool] = lambda candidate: True) -> list[Candidate]:
    """The most accurate probe at the smallest side as a head, which is soon there, and a fine-tune for each side.

    After that of the smallest side comes the cheapest network of all, which is trained within seconds: a front begins
    there.

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
    at_smallest = [probe for probe in probes if probe.resolution == smallest]
    first = max(at_smallest, key=lambda probe: probe.val_accuracy)
    cheapest = min(at_smallest, key=lambda probe: (probe.flops, probe.kept))
    tail, *larger = enough(probes, found.n_val).values()
    tails = [
        usual_way(probe, min(DEPTH, space.stages_of(probe.keep_blocks)), space) for probe in (tail, cheapest, *larger)
    ]
    candidates = [usual_way(first, 0, space), *tails]
    if found.complete:
        best = max(front(probes), key=lambda probe: probe.val_accuracy)
        candidates.append(usual_way(best, 0, space))
        # Frozen features may say that the end is not needed where fine-tuning needs it: the most accurate may be there.
        side, depth = max(found.resolutions), min(DEPTH, space.stages_of(0))
        frozen = [probe.val_accuracy for probe in found.probes if (probe.resolution, probe.keep_blocks) == (side, 0)]
        whole = usual(space, resolution=side, unfreeze_depth=depth, **_trained(depth, 0, max(frozen, default=0.0)))
        candidates += [whole] if allows(whole) else []
    return list(dict.fromkeys(candidates))
