"""What of the platform has started: shown by the health routes from the first moment on."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

#: Parts without which no request can be served, in the order in which they start.
PARTS = ("application", "database", "broker", "store", "models")


@dataclass(slots=True)
class Readiness:
    """Written by the start, read by the health routes. `failed` maps a part to a reason that is safe to show. `behind` are
    names of what goes on catching up, each with how much it still has to: told where it is anything, while requests are served.
    `leaving` tells whether the server is ending: nobody is to choose it, and what would never end by itself ends then.
    `cut_off` is set when open answers have had their time: one that is cancelled from then on is told so.
    """

    waiting: list[str] = field(default_factory=lambda: list(PARTS))
    failed: dict[str, str] = field(default_factory=dict)
    behind: dict[str, Callable[[], int]] = field(default_factory=dict)
    leaving: Callable[[], bool] = lambda: False
    cut_off: bool = False

    @property
    def ready(self) -> bool:
        return not self.waiting and not self.leaving()

    @property
    def loading(self) -> Sequence[str]:
        return tuple(self.waiting)

    def done(self, part: str) -> None:
        if part in self.waiting:
            self.waiting.remove(part)

    @contextmanager
    def starting(self, part: str) -> Iterator[None]:
        """Mark `part` done at the end of the block; it stays among the waiting ones when the block raises."""
        yield
        self.done(part)

    def body(self) -> dict[str, object]:
        """What `/api/v1/health/ready` answers anybody."""
        if self.ready:
            return {"status": "ready", **{name: number for name, count in self.behind.items() if (number := count())}}
        if not self.waiting:
            return {"status": "stopping"}
        return {"status": "starting", "loading": list(self.waiting)}
