"""What a linear head begins with: the closed-form probe of the frozen features that it stands on.

A random head on features that were not made for it wastes the first epochs, and its gradients spoil the stages below
it (`benchmarks/head_start.py`, figures in docs/search_space.md). Where the whole backbone is fine-tuned, whose features
were made for a linear head, it begins at random: there a probe helps the first epochs, and of two cases tried one ended
0.01 better and one 0.01 worse.
"""

import dataclasses

import numpy as np

from datasets.splits import Split, stratified_subset
from hpo.worker.heartbeat import Beat, Phase, SignOfLife
from hpo.worker.inputs import Sources

MOST_PICTURES = 5000  # that the probe of a head is fitted on, as many as a map takes by default


def chosen(split: Split, labels: np.ndarray, most: int, seed: int) -> Split:
    """At most so many pictures to fit and to measure probes on: all, or a stratified subset."""

    def some(rows: np.ndarray) -> np.ndarray:
        return rows if len(rows) <= most else rows[stratified_subset(labels[rows], most, seed)]

    return Split(some(split.train), some(split.val))


def first_head(sources: Sources, beat: Beat, everywhere: bool = False) -> list[np.ndarray] | None:
    """Kernel (channels, logits) and bias of the last layer; None where training begins with random ones.

    So it does where all of the backbone is fine-tuned, behind a hidden layer, behind another pooling and behind
    normalisation, and from scratch.

    Args:
        sources: of the job; the probe is fitted on the training pictures, or on a stratified part of
            them; `map_size` has no say, since numbers of a study do not depend on its effort.
        beat: hears signs of life.
        everywhere: also where all of the backbone is fine-tuned, to compare.
    """
    from models.probe import fit
    from models.reuse.features import cut_name

    job, config = sources.job, sources.config
    candidate = job.of_backbone
    if not config.starts_from_probe or candidate.head_width or candidate.batch_norm_head:
        return None
    whole = candidate.unfreeze_depth > 0 and not candidate.keep_blocks
    if candidate.pooling != "average" or (whole and not everywhere):
        return None
    labels = sources.data.labels
    rows = chosen(sources.parts, labels, MOST_PICTURES, config.seed).train
    plain = dataclasses.replace(job, candidate=dataclasses.replace(candidate, augmentation="none"))
    own = Sources(plain, sources.session, Split(rows, rows[:0]))
    (features,) = own.features(cut_name(0, keep_blocks=candidate.keep_blocks))

    def on_step(share: float) -> None:
        beat(SignOfLife(Phase.EXTRACT, share=share))

    try:
        x = features.load(on_step)
    except OSError:  # no room on disk
        x = features.load(on_step, store=False)
    n_classes = len(job.facts.class_names)
    return fit(x, labels[rows], n_classes).head(1 if n_classes == 2 else n_classes)
