"""Optuna's samplers by the names on the command line."""

import warnings
from collections.abc import Mapping
from typing import Any

import optuna


def make_sampler(name: str, seed: int, fixed: Mapping[str, Any] | None = None) -> optuna.samplers.BaseSampler:
    """A sampler by its name on the command line, in Optuna's defaults for several objectives.

    `auto` is TPE here: of a study with a map the search takes the planner (`hpo.search.planning`).

    Parameters that only some trials have, such as the learning rates of heads, TPE learns in groups of their own; the
    others draw them at random.

    Parameters in `fixed` get the values given; the sampler proposes the others.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if fixed:
            return optuna.samplers.PartialFixedSampler(dict(fixed), make_sampler(name, seed))
        match name:
            case "auto" | "tpe":
                return optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True)
            case "nsga2":
                return optuna.samplers.NSGAIISampler(seed=seed)
            case "nsga3":
                return optuna.samplers.NSGAIIISampler(seed=seed)
            case "gp":
                return optuna.samplers.GPSampler(seed=seed)
            case "random":
                return optuna.samplers.RandomSampler(seed=seed)
    raise ValueError(f"sampler must be auto, tpe, nsga2, nsga3, random or gp. Received: {name!r}")
