"""What a request may spend: room in the budgets that it falls under, for the longest answer that it may get."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

import orjson
from langchain_core.messages import BaseMessage

from core import context, traces
from core.budgets import Degraded, Hold, Spending
from core.budgets.rules import Rule, Unit
from core.context import Usage
from core.errors import BudgetExceeded
from providers.ceilings import ceiling
from providers.prices import Charge, Price, Tokens
from providers.routing import Route
from providers.served import Served
from providers.together import one_of_all
from providers.tokens import count_messages

#: Tokens that an answer without a limit of its own may have under a budget that refuses.
LONGEST_ANSWER = 4096
#: Seconds after a request's deadline at which nobody settles any more.
_GRACE_S = 30.0


@dataclass(slots=True)
class Bill:
    """What the calls of one request spend. `close` it once, on the loop that it was opened on."""

    hold: Hold | None = None
    max_tokens: int | None = None
    hold_s: float = 0.0
    _more: list[Hold] = field(default_factory=list)
    _spent: list[Spending] = field(default_factory=list)

    def add(self, at: datetime, usage: Usage, charge: Charge) -> None:
        self._spent.append(Spending(at, usage.total_tokens, charge.usd or Decimal(0)))

    def limited(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """The parameters with the longest answer that there is room for."""
        return parameters if self.max_tokens is None else parameters | {"max_tokens": self.max_tokens}

    async def make_room(self, served: Served, messages: Sequence[BaseMessage], parameters: dict[str, Any]) -> None:
        """Reserve for one more call what the calls before it have used up. Costs nothing where they have used nothing.

        Raises:
            BudgetExceeded, Unavailable
        """
        if self._is_short:
            longest = parameters.get("max_tokens") or LONGEST_ANSWER
            await self._reserve(served, Tokens(_counted(served, messages, parameters), longest))

    async def make_room_for_texts(self, served: Served, texts: Sequence[str]) -> None:
        """As `make_room`, for embedding the texts."""
        if self._is_short:
            await self._reserve(served, Tokens(sum(served.provider.count_tokens(served.model, text) for text in texts)))

    def close(self) -> None:
        if self.hold is not None:
            self.hold.settle(*self._spent)
            for hold in self._more:
                hold.settle()

    @property
    def _is_short(self) -> bool:
        """Whether what is reserved may be less than what one more call needs, under a budget that refuses."""
        return bool(self._spent) and self.hold is not None and self.hold.bounds

    async def _reserve(self, served: Served, call: Tokens) -> None:
        if self.hold is None:
            return
        tokens = sum(spent.tokens for spent in self._spent) + call.input + call.output
        left_s = context.current().due(self.hold_s - _GRACE_S).remaining
        usd = sum((spent.usd for spent in self._spent), dearest([served.price], call, max(left_s, 0)) or Decimal(0))
        try:
            with traces.span("reserve budget"):
                more = await self.hold.budgets.reserve_more((self.hold, *self._more), tokens, usd, self.hold_s)
        except Degraded:
            raise BudgetExceeded("There is no room for one more call in a budget.") from None
        if more is not None:
            self._more.append(more)


async def billed(route: Route, messages: Sequence[BaseMessage], parameters: dict[str, Any]) -> tuple[Route, Bill]:
    """A bill with room for the request, and the route that it is for: another one where a budget has it go to a cheaper alias.

    Raises:
        BudgetExceeded, Unavailable
        NotFound: `model_not_found`: the cheaper alias is none.
    """
    asked, been = route.alias, {route.alias}
    while True:
        try:
            bill = await one_of_all(route.alias, messages, partial(opened, route, messages, parameters))
        except Degraded as degraded:
            if route.elsewhere is None or degraded.alias in been:
                raise degraded.otherwise from None
            been.add(degraded.alias)
            route = replace(route.elsewhere(degraded.alias), chat=route.chat).within_policy()
        else:
            if len(been) > 1:
                request = context.current()
                request.degraded, request.degraded_from = route.alias, asked
            return route, bill


async def opened(route: Route, messages: Sequence[BaseMessage], parameters: dict[str, Any]) -> Bill:
    """A bill with room for the request at the dearest of the route's deployments.

    Raises:
        BudgetExceeded, Degraded, Unavailable
    """
    rules = route.budgets.of(context.current().principal, route.alias)
    if not rules:
        return Bill()
    deployments = route.deployments
    asked = parameters.get("max_tokens")
    longest = asked or min([LONGEST_ANSWER, *(_half_window(served) for served in deployments)])
    given = _counted(deployments[0], messages, parameters)
    usd = dearest((served.price for served in deployments), Tokens(given, longest), route.total_s)
    hold_s, at_least = route.total_s + _GRACE_S, given + (asked or 0)
    with traces.span("reserve budget"):
        hold = await route.budgets.reserve(rules, given + longest, usd, hold_s, at_least=at_least)
    bounded = asked is None and hold is not None and hold.bounds
    return Bill(hold, longest if bounded else None, hold_s)


async def opened_for_texts(route: Route, deployments: Sequence[Served], texts: Sequence[str]) -> Bill:
    """A bill with room for embedding the texts. Nothing cheaper gives vectors that compare.

    Raises:
        BudgetExceeded, Unavailable
    """
    rules = route.budgets.of(context.current().principal, route.alias)
    if not rules:
        return Bill()
    first = deployments[0]
    tokens = sum(first.provider.count_tokens(first.model, text) for text in texts)
    usd = dearest((served.price for served in deployments), Tokens(tokens), route.total_s)
    return await opened_for_tokens(route, rules, tokens, usd)


def bounded_by_tokens(route: Route) -> Sequence[Rule]:
    """The budgets in tokens that a request falls under."""
    rules = route.budgets.of(context.current().principal, route.alias)
    return [rule for rule in rules if rule.unit is Unit.TOKENS and not rule.rate]


async def opened_for_tokens(route: Route, rules: Sequence[Rule], tokens: int, usd: Decimal | None = Decimal(0)) -> Bill:
    """A bill with room for embedding so many tokens.

    Raises:
        BudgetExceeded, Unavailable
    """
    hold_s = route.total_s + _GRACE_S
    try:
        with traces.span("reserve budget"):
            return Bill(await route.budgets.reserve(rules, tokens, usd, hold_s, at_least=tokens), hold_s=hold_s)
    except Degraded as degraded:
        raise degraded.otherwise from None


def dearest(prices: Iterable[Price | None], tokens: Tokens, longest_s: float) -> Decimal | None:
    """Dollars at most at the dearest, in `longest_s` seconds where a price goes by time; None where one is not known."""
    seconds = Decimal(str(longest_s))
    charges = [ceiling(price, tokens, seconds) if price is not None else None for price in prices]
    return None if any(usd is None for usd in charges) else max((usd for usd in charges if usd is not None), default=None)


def _counted(served: Served, messages: Sequence[BaseMessage], parameters: dict[str, Any]) -> int:
    """Tokens that are sent."""
    given = count_messages(messages, lambda text: served.provider.count_tokens(served.model, text))
    if tools := parameters.get("tools"):
        given += served.provider.count_tokens(served.model, orjson.dumps(tools).decode())
    return given


def _half_window(served: Served) -> int:
    return (served.facts.context_tokens or 2 * LONGEST_ANSWER) // 2


def held_to(route: Route) -> frozenset[str]:
    """The names of the budgets that may bound this request's answer or have it go to a cheaper alias: requests of others are
    not to share what becomes of it. Rate limits do neither, and one's refusal is never another's."""
    principal, names, aliases = context.current().principal, set[str](), [route.alias]
    for alias in aliases:
        for rule in route.budgets.of(principal, alias):
            if rule.refuses and not rule.rate:
                names.add(rule.counter)
                aliases += [rule.degrade_to] if rule.degrade_to and rule.degrade_to not in aliases else []
    return frozenset(names)
