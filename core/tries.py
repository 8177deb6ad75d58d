"""The calls of providers that come to nothing in one answer, counted over all of its steps."""

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class Tries:
    """Of one answer. Each step may make its first call; whether it may make another depends on what all steps have tried.

    Steps that the answer can do without have half of the calls at most, together, so that the answer itself can still move on.
    `failed`: what gave nothing by its own fault; later steps call it last.
    """

    in_vain: int = 0
    spared_in_vain: int = 0
    failed: set[Hashable] = field(default_factory=set)
    _sparing: int = 0

    def note(self, called: Hashable, *, ill: bool) -> None:
        """A call came to nothing; `ill`: by the fault of what was called."""
        if self.spares:
            self.spared_in_vain += 1
        else:
            self.in_vain += 1
        if ill:
            self.failed.add(called)

    @property
    def spares(self) -> bool:
        """Whether the step that runs now can be done without."""
        return self._sparing > 0

    def may_go_on(self, allowed: int) -> bool:
        """Whether a step may make another call, where so many calls of an answer may be in vain."""
        half = allowed // 2
        if self.spares:
            return self.spared_in_vain < half
        return self.in_vain + min(self.spared_in_vain, half) < allowed

    @contextmanager
    def sparing(self) -> Iterator[None]:
        """For a step that the answer can do without."""
        self._sparing += 1
        try:
            yield
        finally:
            self._sparing -= 1
