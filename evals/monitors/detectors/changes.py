"""What a detector tells."""

from dataclasses import dataclass
from enum import StrEnum


class ChangeKind(StrEnum):
    """A level that is another all at once, or little by little; some points that stand out; and how a change ends: the level is
    `back` where it was, or the new one was `accepted` as what is usual from now on."""

    STEP = "step"
    RAMP = "ramp"
    SPIKE = "spike"
    BACK = "back"
    ACCEPTED = "accepted"

    @property
    def ends(self) -> bool:
        """Whether it says that what was told of is over."""
        return self in (ChangeKind.BACK, ChangeKind.ACCEPTED)


@dataclass(frozen=True, slots=True)
class Change:
    """Something has changed at `since`, and was seen at `at`, both in seconds since 1970. `before` is what was to be expected
    and `after` what came, as the detector was given them; `sigmas` how far that is from the usual, with its sign."""

    kind: ChangeKind
    at: float
    since: float
    before: float
    after: float
    sigmas: float
