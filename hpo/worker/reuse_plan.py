"""Where a trial's training starts from: the pictures, stored resized pictures, or stored features behind a cut.

A pure function over counts. Work is counted in FLOPs; bytes are turned into FLOPs by how long they take beside a
matrix product on an ordinary CPU. Only the order of magnitude matters: at equal cost nothing is stored.
"""

from collections.abc import Sequence
from dataclasses import dataclass

# A core does some 50 GFLOP/s in convolutions. Written bytes are copied, hashed and synced at some 300 MB/s, read bytes
# gathered and made float32 at some 2 GB/s; bilinear resizing yields some 50 million values a second.
FLOPS_PER_BYTE_WRITTEN = 170
FLOPS_PER_BYTE_READ = 25
FLOPS_PER_RESIZED_VALUE = 1000
LEAST_GAIN = 0.05  # of the work without a store; less is not worth the disk


@dataclass(frozen=True)
class Work:
    """What there is to do for one candidate, and what storing would need.

    Attributes:
        n_train, n_val: pictures.
        epochs: expected of such a trial.
        uses: trials expected to start from the same store, this one included; at least 1.
        views: stored views of each training picture, 1 without augmentation.
        below: FLOPs of one picture from the pictures to the cut, resizing included.
        missing: FLOPs of one picture from the nearest stored cut to this one; 0 if it is stored.
        above: FLOPs of one picture from the cut to the logits.
        bytes: of one picture at the cut.
        room: bytes that the cache has for it.
    """

    n_train: int
    n_val: int
    epochs: float
    uses: float
    views: int
    below: float
    missing: float
    above: float
    bytes: int
    room: int

    @property
    def total_bytes(self) -> int:
        """Of everything that would be stored, training views and validation pictures."""
        return self.bytes * (self.views * self.n_train + self.n_val)


@dataclass(frozen=True)
class Plan:
    """Whether to store activations."""

    store: bool
    why: str  # one line for the log


def plan(work: Work) -> Plan:
    """Whether to start from a store. Forward and backward together count as three forward passes."""
    pictures = work.n_train + work.n_val
    above = (3 * work.n_train + work.n_val) * work.above
    runs = work.uses * work.epochs
    whole = runs * (pictures * work.below + above)
    reading = runs * pictures * work.bytes * FLOPS_PER_BYTE_READ
    stored = (work.views * work.n_train + work.n_val) * work.missing
    writing = work.total_bytes * FLOPS_PER_BYTE_WRITTEN if work.missing else 0.0
    with_store = runs * above + reading + stored + writing
    share = work.below / (work.below + work.above) if work.below else 0.0
    ratio = whole / with_store
    facts = (
        f"{share:.0%} of the forward FLOPs lie below the cut, {work.total_bytes / 2**20:,.0f} MiB, "
        f"about {work.uses:.1f} trials of {work.epochs:g} epochs: {ratio:.2g} times less work with a store"
    )
    if work.missing and work.total_bytes > work.room:
        return Plan(False, f"no store, there is room for {work.room / 2**20:,.0f} MiB; {facts}")
    if with_store > (1 - LEAST_GAIN) * whole:
        return Plan(False, f"no store, it does not pay; {facts}")
    return Plan(True, f"store; {facts}")


def expected_epochs(epochs: int, rungs: Sequence[int], factor: int) -> float:
    """Epochs of a trial of which one in `factor` goes on from each rung."""
    ends = [*rungs, epochs]
    shares = [factor**-passed for passed in range(len(ends))]  # of trials that come as far as the leg before each end
    return sum(share * (end - start) for share, start, end in zip(shares, [0, *rungs], ends, strict=True))


def expected_uses(trials: int, number: int, cells: int) -> float:
    """Trials that start from one cut: this one and one in `cells` (depths times resolutions) of those to come."""
    return 1 + max(0, trials - number - 1) / cells
