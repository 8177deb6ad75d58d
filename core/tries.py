"""The calls of providers that come to nothing in one answer, counted over all of its steps."""

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class Tries:
    """Of one answer. Each step may make its first call; whether it may make another depends on what all steps have tried.

    `failed`: what gave nothing by its own fault; later steps call it last.
    """

    in_vain: int = 0
    failed: set[Hashable] = field(default_factory=set)
    _sparing: int = 0

    def note(self, called: Hashable, *, ill: bool) -> None:
        """A call came to nothing; `ill`: by the fault of what was called."""
        self.in_vain += 1
        if ill:
            self.failed.add(called)

    @property
    def spares(self) -> bool:
        """Whether the step that runs now can be done without."""
        return self._sparing > 0

    def may_move_on(self, allowed: int) -> bool:
        """Whether a step that failed at one deployment may call another, where so many calls of an answer may be in vain."""
        return self.in_vain < allowed - self.spares

    def may_repeat(self, allowed: int) -> bool:
        """Whether it may call the same one again."""
        return self.in_vain < (allowed // 2 if self.spares else allowed)

    @contextmanager
    def sparing(self) -> Iterator[None]:
        """For a step that the answer can do without: it leaves one call to the steps after it, and repeats half as many."""
        self._sparing += 1
        try:
            yield
        finally:
            self._sparing -= 1
