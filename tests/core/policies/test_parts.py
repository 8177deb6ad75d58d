"""Values that are split over the parts of a message."""

from collections.abc import Sequence

import pytest

from core.context import RequestContext, serving
from core.errors import PersonalDataBlocked
from core.policies.parts import split_values, without
from core.policies.policy import Place, Policy
from core.policies.privacy import Passing, Privacy, record_of
from core.policies.store import Policies
from core.principals import SYSTEM
from core.redaction.entities import Entity, PIIType


@pytest.fixture(autouse=True)
def request_of_a_caller() -> object:
    with serving(RequestContext(request_id="r", principal=SYSTEM)) as request:
        yield request


def passing(rules: object) -> Passing:
    of = Privacy(Policies(Policy.model_validate({"pii": {"*": rules}})))
    return of.passing(of.modes(Place.PROMPTS))


@pytest.mark.parametrize(
    ("parts", "redacted"),
    [
        (["Mail jane.roe@exam", "ple.com, please."], ["Mail <EMAIL_ADDRESS>", ", please."]),
        (["My card is 4111 1111", "1111 1111."], ["My card is <CREDIT_CARD>", "."]),
        (["My card is 4111 ", "1111", " 1111", " 1111"], ["My card is <CREDIT_CARD>", "", "", ""]),
        (["ghp_aB3dE6gH9jaB3dE6gH9j", "aB3dE6gH9jaB3dE6gH9j it is"], ["<SECRET>", " it is"]),
        (
            ["First write to a@example.com", "then to olaf@fjordmail.no"],
            ["First write to <EMAIL_ADDRESS>", "then to <EMAIL_ADDRESS>"],
        ),
        (["Nothing", "here"], ["Nothing", "here"]),
        (["One alone: a@example.com"], ["One alone: <EMAIL_ADDRESS>"]),
        ([], []),
    ],
)
async def test_a_value_is_replaced_where_it_begins(parts: list[str], redacted: list[str]) -> None:
    assert await passing("redact").parts(parts) == redacted


async def test_a_value_in_two_parts_far_from_where_both_end_is_found() -> None:
    filler = "The committee met again. " * 400
    first, second = await passing("redact").parts([f"{filler}ingrid@fjord", f"mail.no {filler}"])
    assert (first, second) == (f"{filler}<EMAIL_ADDRESS>", f" {filler}")


async def test_a_split_value_is_blocked_and_gets_a_pseudonym(request_of_a_caller: RequestContext) -> None:
    parts = ["Card 4111 1111", "1111 1111"]
    with pytest.raises(PersonalDataBlocked):
        await passing({"mode": "block", "types": ["CREDIT_CARD"]}).parts(parts)
    assert await passing("pseudonymise").parts(parts) == ["Card <CREDIT_CARD_1>", ""]
    assert record_of(request_of_a_caller).restoring.restore("<CREDIT_CARD_1>") == "4111 1111 1111 1111"


async def test_of_findings_that_overlap_nothing_is_left_standing() -> None:
    async def search(text: str) -> Sequence[Entity]:
        return [Entity(PIIType.PERSON, 0, 4, 0.5), Entity(PIIType.SECRET, 2, 6, 0.9)] if text == "abcdef" else []

    found = await split_values(["abc", "def"], search)
    assert [(one.entity.start, one.entity.end, one.value) for one in found] == [(0, 2, "ab"), (2, 6, "cdef")]
    assert without(["abc", "def"], [(one.entity, "<>") for one in found]) == ["<><>", ""]
