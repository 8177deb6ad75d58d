"""A deployment that is ready to be called."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from langchain_core.language_models import BaseChatModel

from core.deadline import Deadline
from core.settings import Timeouts
from core.tries import Tries
from providers.base import HoldsConnections, ModelFacts, Provider, TakesTurns
from providers.prices import Price
from providers.standing import Standing

__all__ = ["Deadline", "Served", "failed_last"]


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
    #: The provider, where its calls take a connection first.
    lines: HoldsConnections | None = field(init=False)

    def __post_init__(self) -> None:
        provider = self.provider  # asked here once: checking against a protocol takes 10 µs
        object.__setattr__(self, "turns", provider if isinstance(provider, TakesTurns) else None)
        object.__setattr__(self, "lines", provider if isinstance(provider, HoldsConnections) else None)

    @property
    def name(self) -> str:
        return self.provider.state(self.model).name

    def chat(self) -> BaseChatModel:
        return self.provider.chat(self.model, self.timeouts)


def failed_last(deployments: Sequence[Served], tries: Tries) -> Sequence[Served]:
    """The same, but for those that gave nothing in an earlier step of the answer: they come last."""
    return sorted(deployments, key=lambda served: served.standing in tries.failed) if tries.failed else deployments
