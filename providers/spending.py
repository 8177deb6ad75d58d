"""What a request may spend: room in the budgets that it falls under, for the longest answer that it may get."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import orjson
from langchain_core.messages import BaseMessage

from core import context, traces
from core.budgets import Degraded, Hold
from core.context import Usage
from core.errors import BudgetExceeded
from providers.prices import Charge, Price, Tokens
from providers.routing import Route
from providers.served import Served
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
    _tokens: int = 0
    _usd: Decimal = field(default_factory=Decimal)

    def add(self, usage: Usage, charge: Charge) -> None:
        self._tokens += usage.total_tokens
        self._usd += charge.usd or 0

    def limited(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """The parameters with the longest answer that there is room for."""
        return parameters if self.max_tokens is None else parameters | {"max_tokens": self.max_tokens}

    def close(self) -> None:
        if self.hold is not None:
            self.hold.settle(self._tokens, self._usd)


async def billed(route: Route, messages: Sequence[BaseMessage], parameters: dict[str, Any]) -> tuple[Route, Bill]:
    """A bill with room for the request, and the route that it is for: another one where a budget has it go to a cheaper alias.

    Raises:
        BudgetExceeded, Unavailable
        NotFound: `model_not_found`: the cheaper alias is none.
    """
    been = {route.alias}
    while True:
        try:
            return route, await opened(route, messages, parameters)
        except Degraded as degraded:
            if route.elsewhere is None or degraded.alias in been:
                raise BudgetExceeded("There is no room for this request in a budget.") from None
            been.add(degraded.alias)
            route = replace(route.elsewhere(degraded.alias), chat=route.chat).within_policy()
            context.current().degraded = degraded.alias


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
    first = deployments[0]
    given = count_messages(messages, lambda text: first.provider.count_tokens(first.model, text))
    if tools := parameters.get("tools"):
        given += first.provider.count_tokens(first.model, orjson.dumps(tools).decode())
    usd = dearest((served.price for served in deployments), Tokens(given, longest))
    hold_s, at_least = route.total_s + _GRACE_S, given + (asked or 0)
    with traces.span("reserve budget"):
        hold = await route.budgets.reserve(rules, given + longest, usd, hold_s, at_least=at_least)
    bounded = asked is None and hold is not None and hold.bounds
    return Bill(hold, longest if bounded else None)


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
    usd = dearest((served.price for served in deployments), Tokens(tokens))
    try:
        with traces.span("reserve budget"):
            return Bill(await route.budgets.reserve(rules, tokens, usd, route.total_s + _GRACE_S, at_least=tokens))
    except Degraded:
        raise BudgetExceeded("There is no room for this request in a budget.") from None


def dearest(prices: Iterable[Price | None], tokens: Tokens) -> Decimal | None:
    """Dollars at the dearest; None where one is not known."""
    charges = [price.charge(tokens).usd if price is not None else None for price in prices]
    return None if any(usd is None for usd in charges) else max((usd for usd in charges if usd is not None), default=None)


def _half_window(served: Served) -> int:
    return (served.facts.context_tokens or 2 * LONGEST_ANSWER) // 2
