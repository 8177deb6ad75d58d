"""Which deployments of an alias are called, and in which order: by the operator's order, by share, speed, price or load."""

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from re import compile as pattern
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage

from core.budgets import Budgets
from core.context import current
from core.kill_switches.switches import KillSwitches, killed
from core.policies.privacy import Privacy
from core.policies.store import Policies
from core.settings import RetrySettings
from providers.accounts import Accounts
from providers.capacity import ANSWER_TOKENS
from providers.places import admitted, refused
from providers.prices import Price, Tokens
from providers.retry_budget import RetryBudget
from providers.running import Call, is_stopped
from providers.served import Served
from providers.watch import Watch

#: Seconds in which the latency that a deployment once had is believed half: one that was slow is tried again in the end.
BELIEVED_S = 60.0
#: A text has no more characters a token than this, blank space aside; so a prompt of more is too long for certain.
MOST_CHARACTERS = 8
CHARACTERS_A_TOKEN = 4

Strategy = Callable[["Route", "Demand", float], Sequence[Served]]


@dataclass(frozen=True, slots=True)
class Demand:
    """What a request takes: tokens, estimated from its characters."""

    characters: int
    max_tokens: int | None

    @classmethod
    def of(cls, messages: Sequence[BaseMessage], max_tokens: int | None) -> "Demand":
        contents = (message.content if isinstance(message.content, str) else message.text for message in messages)
        return cls(sum(map(len, contents)), max_tokens)

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    @property
    def input_tokens(self) -> int:
        return self.characters // CHARACTERS_A_TOKEN + 8

    @property
    def output_tokens(self) -> int:
        return min(self.max_tokens or ANSWER_TOKENS, ANSWER_TOKENS)

    def fits(self, window: int | None) -> bool:
        """False where the prompt is too long for certain."""
        return window is None or self.characters <= window * MOST_CHARACTERS


def _in_order(route: "Route", demand: Demand, now: float) -> Sequence[Served]:
    return route.deployments


def _weighted(route: "Route", demand: Demand, now: float) -> Sequence[Served]:
    """At random, each as often first as its weight says (Efraimidis and Spirakis 2006); without weight: for want of others."""
    drawn = {served: random.random() ** (1 / served.weight) if served.weight else -1.0 for served in route.deployments}  # noqa: S311
    return sorted(route.deployments, key=drawn.__getitem__, reverse=True)


def _fastest(route: "Route", demand: Demand, now: float) -> Sequence[Served]:
    """By measured seconds to the first token. One that was never measured comes first; one not measured for long is believed
    to have become faster, and is tried by one request at a time."""
    scores = {served: _expected_s(served, now) for served in route.deployments}
    order = sorted(route.deployments, key=scores.__getitem__)
    if order[0].standing.first_token_s.value is None or now - order[0].standing.first_token_s.at > BELIEVED_S:
        order[0].standing.explored_at = now
    return order


def _expected_s(served: Served, now: float) -> float:
    standing = served.standing
    measured = standing.first_token_s.value
    explored = now - standing.explored_at < served.timeouts.first_token  # by a request that has not come back yet
    if measured is None:
        return served.timeouts.first_token if explored else 0.0
    return measured if explored else float(measured * 0.5 ** ((now - standing.first_token_s.at) / BELIEVED_S))


def _cheapest(route: "Route", demand: Demand, now: float) -> Sequence[Served]:
    """By what the request would cost; one without a known price comes last. One that is paid by the hour, and was never
    measured, is tried first."""
    given, made, ten_minutes = _rounded(demand.input_tokens), demand.output_tokens, int(now / 600)

    def cost(served: Served) -> float:
        if served.price is not None and served.price.goes_by_time:
            return float(served.price.estimate(given, made, served.standing.seconds_of(made) or 0) or 0)
        return _cost(served.price, given, made, ten_minutes)

    return sorted(route.deployments, key=cost)


@lru_cache(maxsize=4096)
def _cost(price: Price | None, input_tokens: int, output_tokens: int, _now: int) -> float:
    usd = price.charge(Tokens(input_tokens, output_tokens)).usd if price else None
    return float("inf") if usd is None else float(usd)


def _rounded(tokens: int) -> int:
    """To a power of two: prices change with length in a few steps only."""
    return 1 << max(0, tokens - 1).bit_length()


def _least_busy(route: "Route", demand: Demand, now: float) -> Sequence[Served]:
    """By calls in flight, as a share of those that a deployment may have where it has a limit; among equals at random."""
    return sorted(
        route.deployments,
        key=lambda served: (served.standing.load, random.random()),  # noqa: S311
    )


STRATEGIES: dict[str, Strategy] = {
    "failover": _in_order,
    "weighted": _weighted,
    "latency": _fastest,
    "cost": _cheapest,
    "least_busy": _least_busy,
}


async def _nothing_to_hear() -> None:
    """Of deployments that are one process's own."""


@dataclass(frozen=True)
class Route:
    """An alias: its deployments, and how its requests are tried.

    `touch` has what changed be told to other processes, `hear` waits a moment for what they say. `chat` gives the model to call
    of a deployment. `raw`: whether that model continues texts, so that it takes up any answer that is begun; None: that is not
    known yet.
    """

    alias: str
    deployments: tuple[Served, ...]
    total_s: float
    #: Says what is configured for it: another, where that changes.
    version: str = ""
    #: Parameters of its calls, where neither caller nor capability says any.
    defaults: Mapping[str, Any] = field(default_factory=dict)
    strategy: str = "failover"
    retries: RetrySettings = field(default_factory=RetrySettings)
    budget: RetryBudget = field(default_factory=lambda: RetryBudget(RetrySettings().share))
    touch: Callable[..., None] = lambda **_: None
    hear: Callable[[], Awaitable[None]] = _nothing_to_hear
    chat: Callable[[Served], BaseChatModel] = Served.chat
    raw: Callable[[Served], bool | None] = lambda _: False
    policies: Policies = field(default_factory=Policies)
    kills: KillSwitches = field(default_factory=KillSwitches)
    accounts: Accounts | None = None
    budgets: Budgets = field(default_factory=Budgets)
    #: The route of another alias.
    elsewhere: Callable[[str], "Route"] | None = None
    privacy: Privacy = field(default_factory=lambda: Privacy(Policies()))

    def within_policy(self) -> "Route":
        """The same with the deployments alone that are not switched off and may see the data of the request's tenant, called
        with the tenant's own credentials where it has some.

        Raises:
            Killed: the alias, all its deployments or the tenant's use of models is switched off.
            Unavailable: `no_credential`: there is none to call them with.
            DataPolicyRefused: none of them may see the data.
        """
        tenant, able = current().principal.tenant, self.deployments
        if not self.kills.none:
            self.kills.refuse(tenant, self.alias)
            able = self.alive(tenant)
            if not able:
                raise killed(self.alias)
        if self.accounts is not None:
            able = self.accounts.of(tenant, able)
        able = admitted(self.policies, able)
        if able == self.deployments:
            return self
        if not able:
            raise refused(self.alias)
        return replace(self, deployments=able)

    def filled(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """The parameters of a call with those that nobody has said."""
        return {**self.defaults, **parameters} if self.defaults else parameters

    def alive(self, tenant: str) -> tuple[Served, ...]:
        """The deployments that are not switched off for the tenant."""
        return tuple(served for served in self.deployments if not is_stopped(self.kills, tenant, served))

    def is_alive(self, tenant: str, served: Served) -> bool:
        """Whether neither the deployment, nor the alias, nor the tenant's use of models is switched off."""
        stopped = self.kills.stops_tenant(tenant) or self.kills.stops_alias(tenant, self.alias)
        return not stopped and not is_stopped(self.kills, tenant, served)

    def check(self, served: Served) -> None:
        """Raises Killed: it must not be called any more."""
        if not self.is_alive(current().principal.tenant, served):
            raise killed(self.alias)

    def call(self, served: Served, watch: Watch) -> Call:
        """A block in which a deployment is called, until it is switched off."""
        return Call(self.kills, self.alias, served, watch)

    def order(self, demand: Demand, now: float) -> Sequence[Served]:
        """All deployments, the one to call first at the front."""
        return STRATEGIES[self.strategy](self, demand, now) if len(self.deployments) > 1 else self.deployments


_DRESS = pattern(
    r"^.*/|^(?:(?:us|eu|apac|global)\.)?(?:[a-z0-9]+\.)(?=[a-z])|@.*$|-v\d+(?::\d+)*$|-latest$|-?20\d{2}-?\d{2}-?\d{2}"
)


@lru_cache(maxsize=1024)
def bare_model(name: str) -> str:
    """A model's name without what clouds put around it: `us.anthropic.claude-3-5-haiku-20241022-v1:0` → `claude-3-5-haiku`. Of
    a deployment with a name of its own, the model behind it: `east#gpt-4o` → `gpt-4o`."""
    bare, before = name.casefold().rpartition("#")[2], ""
    while bare != before:
        before, bare = bare, _DRESS.sub("", bare)
    return bare or name
