"""How much of each promise `make prove` does."""

from dataclasses import dataclass

Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Counts:
    """How much of each is done; the defaults are what is promised."""

    starts: int = 5
    settle_s: float = 10
    files: int = 200
    kills: tuple[float, ...] = (0.1, 0.4, 0.8)
    callers: int = 60
    max_tokens: int = 60
    requests: int = 100_000
    calls: int = 2_000
    cases: int = 1_000
    room: int = 50
    rotations: int = 3
    readers: int = 16
    authenticated: int = 20_000
    away_s: float = 30
    rounds: int = 5
    documents: int = 2_000
    worker_kills: int = 20
    flushes: int = 2
    queries: int = 10_000
    bulk: int = 60
    beside: int = 150
    megabytes: int = 2048
    questions: int = 300
    #: What cases are drawn from; None: a fresh one, which is told.
    seed: int | None = None

    @property
    def is_small(self) -> bool:
        """Whether nothing is promised at these counts."""
        return self.calls < Counts().calls


#: To see in a few minutes that the parts work. Nothing is promised at these counts, nor recorded.
SMALL = Counts(
    starts=1,
    settle_s=2,
    files=12,
    kills=(0.3,),
    callers=24,
    max_tokens=20,
    requests=1000,
    calls=200,
    cases=20,
    room=6,
    rotations=1,
    readers=3,
    authenticated=1000,
    away_s=4,
    rounds=1,
    documents=60,
    worker_kills=3,
    flushes=1,
    queries=200,
    bulk=4,
    beside=4,
    megabytes=80,
    questions=30,
)
