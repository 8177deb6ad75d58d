"""A deployment that is ready to be called, and the time that a whole request has."""

import asyncio
from dataclasses import dataclass, field

from langchain_core.language_models import BaseChatModel

from core.errors import DeadlineExceeded
from core.settings import Timeouts
from providers.base import ModelFacts, Provider, TakesTurns
from providers.prices import Price
from providers.standing import Standing


@dataclass(frozen=True, slots=True, eq=False)
class Served:
    """A deployment that is ready to be called. `model` is what the operator configured, `name` what callers are told."""

    provider_name: str
    provider: Provider
    model: str
    timeouts: Timeouts
    facts: ModelFacts
    standing: Standing
    price: Price | None = None
    weight: float = 1.0
    #: An operator says that it takes up an answer that is begun; the platform knows nothing of that.
    unproven: bool = False
    #: Where its calls are answered, None where that is not known; and whether that is this machine.
    region: str | None = None
    here: bool = False
    #: What is configured has no credential: it is called with one that administrators keep, or not at all.
    bare: bool = False
    #: The provider, where its callers have to wait for a turn.
    turns: TakesTurns | None = field(init=False)

    def __post_init__(self) -> None:
        provider = self.provider  # asked here once: checking against a protocol takes 10 µs
        object.__setattr__(self, "turns", provider if isinstance(provider, TakesTurns) else None)

    @property
    def name(self) -> str:
        return self.provider.state(self.model).name

    def chat(self) -> BaseChatModel:
        return self.provider.chat(self.model, self.timeouts)


@dataclass(frozen=True, slots=True)
class Deadline:
    """When the whole request has to be over, on the running loop's clock."""

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
