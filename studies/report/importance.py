"""Which parameter matters for which objective: PED-ANOVA (Watanabe et al. 2023, arXiv 2304.10255), by Optuna."""

import functools
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import optuna
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState

from models.candidate import DIMENSIONS, HyperCandidate
from studies.objectives import OBJECTIVES, Objective
from studies.records import CompleteTrial

LEAST_TRIALS = 10  # complete ones; from fewer it would be guessing
# All that costs depend on; of other parameters they would only seem to, by chance.
ARCHITECTURE = frozenset(name for name, dimension in DIMENSIONS.items() if dimension.changes_inference)
GOOD_TRIALS = 5  # Optuna's advice: at least so many in the better part


@dataclass(frozen=True)
class Importances:
    """For each objective shares of 1 by parameter; where there are none, `why` in words."""

    shares: Mapping[str, Mapping[str, float]]
    why: str = ""
    quantile: float = 0.0  # the better part of the trials, which is compared with all


def importances(study: optuna.Study, records: Sequence[CompleteTrial] = ()) -> Importances:
    """How much each parameter matters for each objective, or why that cannot be said.

    `records` have the numbers that count; a trial without one has those that it was told with.
    """
    known = {record.number: record for record in records}

    def value(trial: FrozenTrial, number: int) -> float:
        name = OBJECTIVES[number].name
        return getattr(known[trial.number], name) if trial.number in known else trial.values[number]

    complete = [trial for trial in study.get_trials(deepcopy=False) if trial.state == TrialState.COMPLETE]
    if len(complete) < LEAST_TRIALS:
        return Importances({}, f"importances need at least {LEAST_TRIALS} complete trials; there are {len(complete)}")
    of_hypermodel = any(isinstance(record.candidate, HyperCandidate) for record in records)
    quantile = max(0.1, GOOD_TRIALS / len(complete))
    evaluator = _quiet_evaluator(quantile)
    shares = {}
    for number, objective in enumerate(OBJECTIVES):
        asked = _asked(objective, complete, of_hypermodel)
        if not asked or len({value(trial, number) for trial in complete}) == 1:
            continue  # nothing tells the trials apart
        sign = -1 if objective.maximise else 1  # it takes lower values for better ones
        target = functools.partial(_signed, value, number, sign)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importance = get_param_importances(study, evaluator=evaluator, params=asked, target=target)
        total = sum(importance.values())
        if total > 0:
            shares[objective.name] = {name: value / total for name, value in importance.items()}
    why = "" if shares else "all complete trials have the same numbers, so no parameter can be said to matter"
    return Importances(shares, why, quantile)


def _asked(objective: Objective, trials: Sequence[FrozenTrial], of_hypermodel: bool) -> list[str]:
    """The parameters to compare: those in which trials differ, also if only some trials have them.

    Which hyperparameters of a HyperModel change the network is not known: all are considered.
    """
    names = dict.fromkeys(name for trial in trials for name in trial.params)
    differing = [name for name in names if len({trial.params.get(name) for trial in trials} - {None}) > 1]
    return [name for name in differing if not objective.known_before_training or of_hypermodel or name in ARCHITECTURE]


def _signed(value: Callable[[FrozenTrial, int], float], number: int, sign: int, trial: FrozenTrial) -> float:
    return sign * value(trial, number)


def _quiet_evaluator(quantile: float) -> PedAnovaImportanceEvaluator:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return PedAnovaImportanceEvaluator(target_quantile=quantile)
