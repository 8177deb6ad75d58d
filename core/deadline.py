"""The time that a whole request has."""

import asyncio
from dataclasses import dataclass

from core.errors import DeadlineExceeded


@dataclass(frozen=True, slots=True)
class Deadline:
    """When the whole request has to be over, on the running loop's clock, which all loops of a machine share."""

    at: float

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        return cls(asyncio.get_running_loop().time() + seconds)

    @property
    def remaining(self) -> float:
        return self.at - asyncio.get_running_loop().time()

    def check(self) -> None:
        """Raises DeadlineExceeded once it has passed."""
        if self.remaining <= 0:
            raise DeadlineExceeded("The request took longer than it may.")
