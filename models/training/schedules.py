"""Learning-rate schedules as pure functions of how far training has come."""

import math
from collections.abc import Sequence

LR_SCHEDULES = ("constant", "cosine", "warmup_cosine", "exponential", "step", "one_cycle", "reduce_on_plateau")

WARMUP = 0.1  # share of all steps
EXPONENTIAL_END = 0.01  # last rate over first
PLATEAU_FACTOR, PLATEAU_PATIENCE = 0.5, 2  # epochs


def scale(schedule: str, progress: float) -> float:
    """Factor on the peak learning rate after the share `progress` (0 to 1) of all training steps.

    - constant, reduce_on_plateau: 1 (the latter is changed between epochs by `plateau_scale`).
    - cosine: half a cosine to 0 (Loshchilov and Hutter 2017, SGDR without restarts).
    - warmup_cosine: linear over the first tenth, then cosine (Goyal et al. 2017).
    - exponential: down to 1 % of the peak.
    - step: a tenth from one half on, a hundredth from three quarters on (He et al. 2016, on CIFAR-10).
    - one_cycle: from 1/25 up to the peak at 30 %, then down to 1/250,000, both as half a cosine
      (Smith and Topin 2018, with the constants of PyTorch's OneCycleLR).

    Raises:
        ValueError: the name is unknown.
    """
    match schedule:
        case "constant" | "reduce_on_plateau":
            return 1.0
        case "cosine":
            return _half_cosine(1.0, 0.0, progress)
        case "warmup_cosine":
            if progress < WARMUP:
                return progress / WARMUP
            return _half_cosine(1.0, 0.0, (progress - WARMUP) / (1 - WARMUP))
        case "exponential":
            return EXPONENTIAL_END**progress
        case "step":
            return 1.0 if progress < 0.5 else 0.1 if progress < 0.75 else 0.01
        case "one_cycle":
            if progress < 0.3:
                return _half_cosine(1 / 25, 1.0, progress / 0.3)
            return _half_cosine(1.0, 1 / 25 / 1e4, (progress - 0.3) / 0.7)
    raise ValueError(f"lr_schedule must be one of {', '.join(LR_SCHEDULES)}. Received: {schedule!r}")


def step_scales(schedule: str, steps: int) -> list[float]:
    """Factor for each of `steps` training steps; a step is judged at its middle, so that none has rate 0."""
    return [scale(schedule, (step + 0.5) / steps) for step in range(steps)]


def plateau_scale(val_losses: Sequence[float]) -> float:
    """Factor on the peak rate after these epochs, oldest first, for reduce_on_plateau.

    Halved each time that the validation loss has not improved for two epochs (as keras.callbacks.ReduceLROnPlateau
    with factor 0.5, patience 2, min_delta 0).
    """
    factor, best, waited = 1.0, math.inf, 0
    for loss in val_losses:
        if loss < best:
            best, waited = loss, 0
        else:
            waited += 1
            if waited >= PLATEAU_PATIENCE:
                factor, waited = factor * PLATEAU_FACTOR, 0
    return factor


def _half_cosine(start: float, end: float, progress: float) -> float:
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * min(max(progress, 0.0), 1.0)))
