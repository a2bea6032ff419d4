"""How much of what is tested was trained on, and how that is said."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Overlap:
    """Test pictures that are among those to train on, value for value."""

    shared: int
    of: int

    @property
    def share(self) -> float:
        """Of the test pictures."""
        return self.shared / self.of

    @property
    def words(self) -> str:
        """A sentence; nothing where there are none."""
        if not self.shared:
            return ""
        some = f"{self.shared:,} of the {self.of:,} test pictures ({self.share:.1%})"
        return f"{some} {'is' if self.shared == 1 else 'are'} also among those to train on"
