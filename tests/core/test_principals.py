import pytest

from core.principals import ROLE_SCOPES, SYSTEM, Principal, Role, Scope, allowed_by_both, beyond

READ, SEARCH, CHAT = Scope.RAG_READ, Scope.RAG_SEARCH, Scope.CHAT_INVOKE


def test_an_analyst_searches_and_asks_no_model() -> None:
    analyst = Principal("a", SYSTEM.tenant, "a", Role.ANALYST, ROLE_SCOPES[Role.ANALYST])
    assert analyst.may_search
    assert not analyst.may(READ)
    assert not any(scope.endswith(":invoke") for scope in analyst.scopes)
    assert all({READ, SEARCH} <= ROLE_SCOPES[role] for role in (Role.ADMIN, Role.DEVELOPER, Role.USER))


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ({READ, SEARCH, CHAT}, {READ}, {READ}),
        ({READ, SEARCH, CHAT}, {SEARCH}, {SEARCH}),
        ({SEARCH}, {READ, CHAT}, {SEARCH}),
        ({READ}, {SEARCH}, {SEARCH}),
        ({CHAT}, {READ, CHAT}, {CHAT}),
        (set(), {READ}, set()),
    ],
)
def test_what_narrows_a_right_to_ask_to_searching_leaves_searching(
    one: set[Scope], other: set[Scope], both: set[Scope]
) -> None:
    assert allowed_by_both(one, other) == allowed_by_both(other, one) == both


def test_who_may_ask_gives_the_right_to_search_and_not_the_other_way_round() -> None:
    assert beyond({SEARCH, CHAT}, {READ}) == {CHAT}
    assert beyond({READ}, {SEARCH}) == {READ}
