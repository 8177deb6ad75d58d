"""What is told of the models of an installation: what each can do, what it costs, how it stands, and which would be called.

Never a provider's address or a secret.
"""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from langchain_core.messages import BaseMessage

from core.context import current
from core.errors import NotFound, UnsupportedFeature
from core.settings import ModelAlias
from providers.base import ModelState
from providers.capacity import ANSWER_TOKENS
from providers.models import Models
from providers.parameters import missing
from providers.places import admitted
from providers.prices import Basis, Price, Rates
from providers.routing import CHARACTERS_A_TOKEN, Demand, Route
from providers.served import Served
from providers.tokens import count_messages

_ADDRESS = re.compile(r"\b[a-z]+://\S+|\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b|\bhost \S+", re.I)


def described(models: Models) -> list[dict[str, Any]]:
    """Every alias with its deployments. From memory; the first call reads the price list, which takes half a second."""
    return [_alias(models, alias, route) for alias, route in models.catalogue()]


def standings(models: Models) -> list[dict[str, Any]]:
    """Each deployment that the request's principal may use, once, and how it stands for their tenant. What no live version has,
    but a canary's or an experiment's, is `tried`. From memory."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    principal = current().principal
    live = [(alias.alias, route.deployments, False) for alias, route in models.catalogue()]
    tried = [(each.alias.alias, each.served, True) for each in models.versions.tried()]
    for alias, deployments, is_tried in (*live, *(each for each in tried if principal.may_use_model(each[0]))):
        for served in deployments:
            told = found.get((served.provider_name, served.name))
            if told is not None:
                told["aliases"] += [alias] if alias not in told["aliases"] else []
                continue
            state = state_of(models, alias, served)
            found[served.provider_name, served.name] = {
                "provider": served.provider_name,
                "model": without_addresses(state.name),
                "aliases": [alias],
                "tried": is_tried,
                "state": state.state,
                **models.accounts.called(principal.tenant, served).standing.told(),
            }
    return list(found.values())


def state_of(models: Models, alias: str, served: Served) -> ModelState:
    """How a deployment stands: as its provider has it, unless it is switched off, or has answered since a probe failed."""
    state = served.provider.state(served.model)
    if models.is_killed(alias, served):
        return replace(state, state="killed")
    if state.state == "failed" and models.prober.refuted(served):
        return replace(state, state="ready", detail="")
    return state


def _alias(models: Models, alias: ModelAlias, route: Route) -> dict[str, Any]:
    return {
        "alias": alias.alias,
        "version": route.version,
        "kind": alias.kind,
        "strategy": alias.strategy,
        "killed": models.is_killed(alias.alias),
        "deployments": [_deployment(models, alias.alias, served) for served in route.deployments],
    }


def _deployment(models: Models, alias: str, served: Served) -> dict[str, Any]:
    state, facts = state_of(models, alias, served), served.facts
    called = models.accounts.called(current().principal.tenant, served)
    probed = None if called is not served or models.prober.refuted(served) else models.prober.result(served)
    names = ("context_tokens", "images", "tools", "structured_output", "prefill", "fill_in_the_middle")
    return {
        "provider": served.provider_name,
        "model": without_addresses(state.name),
        "state": state.state,
        "detail": without_addresses(state.detail),
        "facts": {name: getattr(facts, name) for name in names},
        "price": _price(_rates(served)),
        "limits": _limits(served),
        "health": {**called.standing.told(), "probe": probed.told() if probed else None},
    }


def _rates(served: Served) -> Rates:
    return (served.price or Price(served.provider_name, served.model)).rates()


def _price(rates: Rates) -> dict[str, Any]:
    """As numbers: JSON has no decimals."""
    prices = {"input": rates.input_usd, "output": rates.output_usd, "cached": rates.cached_usd}
    told = {f"{name}_usd_per_million": None if price is None else float(price) for name, price in prices.items()}
    told["per_hour_usd"] = None if rates.per_hour_usd is None else float(rates.per_hour_usd)
    return {"basis": rates.basis.value, "source": rates.source, "since": rates.since, **told}


def _limits(served: Served) -> dict[str, int | None]:
    limits = served.standing.capacity.limits if served.standing.capacity else None
    return {name: getattr(limits, name, None) for name in ("requests_per_minute", "tokens_per_minute", "concurrent")}


def without_addresses(text: str) -> str:
    """The text without what says where a server is."""
    return _ADDRESS.sub("(address)", text)


@dataclass(frozen=True, slots=True)
class Question:
    """A request that is only asked about. `input_tokens` stands for messages that are not given."""

    messages: Sequence[BaseMessage] = ()
    input_tokens: int | None = None
    max_tokens: int | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def demand(self) -> Demand:
        """As routing estimates it."""
        if self.input_tokens is not None:
            return Demand(self.input_tokens * CHARACTERS_A_TOKEN, self.max_tokens)
        return Demand.of(self.messages, self.max_tokens)

    def tokens(self, count: Callable[[str], int]) -> int:
        """As the model counts."""
        return self.input_tokens if self.input_tokens is not None else count_messages(self.messages, count)

    @property
    def output_tokens(self) -> int:
        return self.max_tokens or ANSWER_TOKENS


def compare(models: Models, question: Question, alias: str | None) -> list[dict[str, Any]]:
    """What each deployment of an alias (None: of every chat alias) would make of a request. Blocking: it counts tokens.

    Raises:
        NotFound: code `model_not_found`.
    """
    chat = [(each, route) for each, route in models.catalogue() if each.kind == "chat" and alias in (None, each.alias)]
    if not chat:
        raise NotFound("There is no chat model of that name.", code="model_not_found", param="model")
    return [{"alias": each.alias, "strategy": each.strategy, "deployments": _compared(route, question)} for each, route in chat]


def _compared(route: Route, question: Question) -> list[dict[str, Any]]:
    rows, able = [], set()
    seeing = admitted(route.policies, route.deployments)
    tenant = current().principal.tenant
    dead = {served for served in route.deployments if not route.is_alive(tenant, served)}
    for served in route.deployments:
        tokens = question.tokens(lambda text, served=served: served.provider.count_tokens(served.model, text))  # type: ignore[misc]
        reason = _unable(served, question, tokens) if served in seeing else "The data policy does not let it see the request."
        if served in dead:
            reason = "It is switched off."
        if reason is None:
            able.add(served)
        price = served.price or Price(served.provider_name, served.model)
        seconds, told = served.standing.seconds_of(question.output_tokens), served.standing.told()
        cost = price.estimate(tokens, question.output_tokens, seconds)
        rows.append(
            {
                "provider": served.provider_name,
                "model": without_addresses(served.name),
                "able": reason is None,
                "reason": reason,
                "input_tokens": tokens,
                "output_tokens": question.output_tokens,
                "cost_usd": None if cost is None else float(cost),
                "price": (price.rates().basis if cost is not None or price.goes_by_time else Basis.UNPRICED).value,
                "first_token_s": told["first_token_s"],
                "answer_s": told["answer_s"],
                "breaker": told["breaker"],
            }
        )
    chosen = _chosen(route, question.demand(), able)
    return [{**row, "chosen": served is chosen} for row, served in zip(rows, route.deployments, strict=True)]


def _unable(served: Served, question: Question, tokens: int) -> str | None:
    """Why the deployment cannot serve the request; None where it can."""
    lacking: UnsupportedFeature | None = missing(served.facts, dict(question.parameters), question.messages)
    if lacking is not None:
        return lacking.message
    window = served.facts.context_tokens
    if window is not None and tokens + (question.max_tokens or 0) > window:
        return f"The request would take {tokens + (question.max_tokens or 0)} tokens; the model's context holds {window}."
    return None


def _chosen(route: Route, demand: Demand, able: set[Served]) -> Served | None:
    """Whom a caller would be served by now: the strategy's first that is able and well, or else its first that is able.

    Under `weighted` it is the likeliest. Asking changes nothing.
    """
    now = time.monotonic()
    if route.strategy == "weighted":
        order = sorted(route.deployments, key=lambda served: -served.weight)
    else:
        explored = [served.standing.explored_at for served in route.deployments]
        order = list(route.order(demand, now))
        for served, at in zip(route.deployments, explored, strict=True):
            served.standing.explored_at = at
    fitting = [served for served in order if served in able]
    well = (served for served in fitting if _is_well(served, demand, now))
    return next(well, fitting[0] if fitting else None)


def _is_well(served: Served, demand: Demand, now: float) -> bool:
    standing = served.standing
    if not standing.breaker.closed or standing.held_s(now) > 0:
        return False
    return standing.capacity is None or standing.capacity.wait_s(demand.tokens, standing.in_flight, now) == 0
