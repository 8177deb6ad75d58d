import pytest

from core.context import RequestContext, serving
from core.policies.policy import Place, Policy
from core.policies.privacy import Passing, Privacy, record_of
from core.policies.store import Policies
from core.principals import SYSTEM

MAIL = "ingrid@fjordmail.no"


def privacy(*rules: object) -> Privacy:
    return Privacy(Policies(Policy.model_validate({"pii": {"*": list(rules)}})))


def passing(of: Privacy, **options: object) -> Passing:
    return of.passing(of.modes(Place.PROMPTS, Place.RETRIEVED), **options)


@pytest.fixture(autouse=True)
def request_of_a_caller() -> object:
    with serving(RequestContext(request_id="r", principal=SYSTEM)) as request:
        yield request


async def test_each_type_is_handled_by_its_own_rule() -> None:
    rules = ({"mode": "redact", "types": ["EMAIL_ADDRESS"]}, {"mode": "detect", "types": ["IP_ADDRESS"]}, "pseudonymise")
    one = passing(privacy(*rules))
    assert await one.text(f"{MAIL} 203.0.113.77 3c:52:82:ab:00:ff") == "<EMAIL_ADDRESS> 203.0.113.77 <MAC_ADDRESS_1>"


async def test_text_that_was_found_falls_under_its_own_rules(request_of_a_caller: RequestContext) -> None:
    found = f"Passage: write to {MAIL} soon."
    record_of(request_of_a_caller).retrieved.append(found)
    one = passing(privacy({"mode": "redact", "on": ["retrieved"]}))
    assert (
        await one.text(f"{found} I am olaf@fjordmail.no.") == "Passage: write to <EMAIL_ADDRESS> soon. I am olaf@fjordmail.no."
    )
    one.told()
    assert request_of_a_caller.pii == {"retrieved": {"EMAIL_ADDRESS": 1}}


async def test_an_entity_across_the_edge_of_found_text_counts_as_found(request_of_a_caller: RequestContext) -> None:
    record_of(request_of_a_caller).retrieved.append("The address is ingrid@fjordmail")
    one = passing(privacy({"mode": "redact", "on": ["retrieved"]}))
    assert await one.text("The address is ingrid@fjordmail.no") == "The address is <EMAIL_ADDRESS>"


async def test_json_that_is_nested_too_deep_is_searched_as_text() -> None:
    deep = "[" * 900 + f'"{MAIL}"' + "]" * 900
    assert await passing(privacy("redact")).text(deep) == deep.replace(MAIL, "<EMAIL_ADDRESS>")


async def test_for_good_gives_no_pseudonyms(request_of_a_caller: RequestContext) -> None:
    assert await passing(privacy("pseudonymise"), for_good=True).text(f"To {MAIL}.") == "To <EMAIL_ADDRESS>."
    assert record_of(request_of_a_caller).pseudonyms.mapping == {}


def test_nothing_is_asked_for_where_no_rule_is() -> None:
    assert privacy("off").modes(*Place) == {}
    assert Privacy(Policies()).modes(*Place) == {}
