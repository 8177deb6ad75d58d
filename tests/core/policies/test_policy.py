import pytest
from pydantic import ValidationError

from core.policies.policy import NOBODY, DataPolicy, GuardRule, PIIMode, Place, Policy
from core.redaction.entities import PIIType


def policy(**sections: object) -> Policy:
    return Policy.model_validate(sections)


def test_the_first_rule_for_a_type_holds_and_off_lets_it_through() -> None:
    rules = [{"mode": "block", "types": ["SECRET"]}, {"mode": "off", "types": ["URL"]}, {"mode": "redact"}]
    modes = policy(pii={"*": rules}).modes("chat", Place.PROMPTS)
    assert (modes[PIIType.SECRET], modes[PIIType.PERSON]) == (PIIMode.BLOCK, PIIMode.REDACT)
    assert PIIType.URL not in modes


def test_rules_hold_where_they_say_and_by_themselves_for_what_goes_to_a_model() -> None:
    one = policy(pii={"*": "redact"})
    assert [bool(one.modes("chat", place)) for place in Place] == [True, True, False, False]
    other = policy(pii={"*": {"mode": "redact", "on": ["answers", "logs"]}})
    assert [bool(other.modes("chat", place)) for place in Place] == [False, False, True, True]


def test_a_capability_has_its_own_rules_then_its_familys_then_everybodys() -> None:
    one = policy(pii={"code/fix": "off", "code": "block", "*": "detect"})
    found = [one.modes(name, Place.PROMPTS).get(PIIType.PERSON) for name in ("code/fix", "code/review", "chat")]
    assert found == [None, PIIMode.BLOCK, PIIMode.DETECT]


def test_a_policy_of_nothing_asks_for_nothing() -> None:
    assert Policy().nothing
    assert policy(pii={"*": "off"}, guards=[{"guard": "topics", "mode": "off"}]).nothing
    assert not policy(data={"exclude": ["local"]}).nothing


def test_a_rule_that_never_holds_is_refused() -> None:
    with pytest.raises(ValidationError, match="never holds"):
        policy(pii={"chat": [{"mode": "redact"}, {"mode": "block", "types": ["SECRET"]}]})


@pytest.mark.parametrize(
    ("data", "provider", "region", "here", "admitted"),
    [
        ({}, "openai", None, False, True),
        ({"providers": ["azure"]}, "azure:eu", "westeurope", False, True),
        ({"providers": ["azure:eu"]}, "azure", "westeurope", False, False),
        ({"providers": ["azure:eu"]}, "azure:us", "westeurope", False, False),
        ({"providers": []}, "openai", None, False, False),
        ({"providers": []}, "local", None, True, True),
        ({"providers": []}, "local", None, False, False),
        ({"providers": [], "exclude": ["local"]}, "local", None, True, False),
        ({"regions": ["eu-*"]}, "bedrock", "EU-west-1", False, True),
        ({"regions": ["eu-*"]}, "bedrock", "eu", False, False),
        ({"regions": ["eu"]}, "bedrock", "eu-west-1", False, False),
        ({"regions": ["eu-*"]}, "openai", None, False, False),
        ({"regions": ["eu-*"]}, "local", None, True, True),
        ({"providers": ["openai"], "exclude": ["openai"]}, "openai", None, False, False),
    ],
)
def test_who_may_see_data(data: dict[str, list[str]], provider: str, region: str | None, here: bool, admitted: bool) -> None:
    assert DataPolicy.model_validate(data).admits(provider, region, here=here) is admitted


def test_of_a_policy_that_cannot_be_read_nobody_sees_the_data() -> None:
    assert not NOBODY.admits("local", None, here=True)
    assert not NOBODY.admits("openai", "eu-west-1", here=False)


def test_a_guard_stands_before_the_aliases_and_capabilities_that_it_names() -> None:
    rule = GuardRule.model_validate({"guard": "topics", "aliases": ["fast"], "capabilities": ["code", "chat"]})
    assert [rule.applies("fast", name) for name in ("code/fix", "chat", "rag")] == [True, True, False]
    assert not rule.applies("default", "chat")
    assert not rule.applies("fast/large", "chat")


def test_work_on_documents_is_under_the_rules_of_questions_to_them() -> None:
    one = policy(pii={"rag": "block", "*": "detect"}, guards=[{"guard": "topics", "capabilities": ["rag"]}])
    assert one.modes("ingestion", Place.RETRIEVED)[PIIType.PERSON] is PIIMode.BLOCK
    assert policy(pii={"*": "detect"}).modes("ingestion", Place.RETRIEVED)[PIIType.PERSON] is PIIMode.DETECT
    assert one.guarded[0].applies("embeddings", "ingestion")
