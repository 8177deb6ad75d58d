"""The tier of service, by whatever name a provider tells it."""

from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration

from providers.tiers import TIER, mark, tier_of


@pytest.mark.parametrize(
    "told", [None, "", "default", "auto", "standard", "on_demand", "ON_DEMAND", "TRAFFIC_TYPE_UNSPECIFIED"]
)
def test_the_standard_tier_is_none(told: Any) -> None:
    assert tier_of(told) is None


@pytest.mark.parametrize(
    ("told", "tier"),
    [
        ("flex", "flex"),
        ("Priority", "priority"),
        ("batch", "batch"),
        ("ON_DEMAND_FLEX", "flex"),
        ("ON_DEMAND_PRIORITY", "priority"),
        ("PROVISIONED_THROUGHPUT", "provisioned"),
        ("reserved", "reserved"),
    ],
)
def test_what_others_call_the_same_has_one_name(told: str, tier: str) -> None:
    assert tier_of(told) == tier


@pytest.mark.parametrize("told", ["x" * 17, "a tier", "<b>", 5, ["flex"], {"type": "flex"}], ids=repr)
def test_what_is_no_name_is_never_the_standard_tier(told: Any) -> None:
    assert tier_of(told) == "other"


def test_it_is_marked_where_it_is_not_the_standard_one() -> None:
    plain, flex = (ChatGeneration(message=AIMessage("")) for _ in range(2))
    mark(plain, "default")
    mark(flex, "flex")
    assert (plain.generation_info, flex.generation_info) == (None, {TIER: "flex"})
