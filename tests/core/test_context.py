"""A context beside another: the same request, with accounting of its own."""

from dataclasses import fields
from typing import Any

from core.context import RequestContext
from core.principals import SYSTEM

#: What each context has of its own.
OWN = {
    *("started", "model", "provider", "attempts", "usage", "cost_usd", "provider_s", "failures", "whole", "cache", "passed"),
    *("alias", "version", "job_id", "degraded", "degraded_from", "allowances", "error", "pii", "privacy"),
}


def test_a_context_beside_another_is_of_the_same_request() -> None:
    given: dict[str, Any] = {each.name: object() for each in fields(RequestContext)} | {"principal": SYSTEM}
    beside = RequestContext(**given).beside()
    assert {name for name, value in given.items() if getattr(beside, name) is not value} == OWN
