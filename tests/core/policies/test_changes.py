"""What is put on record of a change of policies."""

from core.policies.changes import told


def test_each_section_is_told_as_it_became() -> None:
    rule = {"mode": "block", "types": ["SECRET"], "on": ["prompts"]}
    guard = {"guard": "patterns", "mode": "block", "on": None, "aliases": ["*"], "capabilities": ["*"]}
    given = {
        "pii": {"*": [{"mode": "off", "types": None, "on": ["prompts", "logs"]}], "chat": [rule], "rag": []},
        "guards": [guard | {"options": {"deny": ["Maria Schmidt"]}}],
        "data": {"providers": [], "regions": ["eu-*", "local"], "exclude": []},
        "browsers": None,
    }
    details = told(given, {"pii", "data", "guards"})
    assert (details["sections"], details["own"]) == (["browsers", "data", "guards", "pii"], ["data", "guards", "pii"])
    assert details["pii"] == ["*: off all on prompts logs", "chat: block SECRET on prompts", "rag: off"]
    assert details["data"] == ["providers: ", "regions: eu-* local", "exclude: "]
    assert details["browsers"] == "default"
    assert "patterns block: *, *, options " in str(details["guards"])
    assert "Maria" not in str(details)


def test_options_that_are_not_told_change_the_digest() -> None:
    guard = {"guard": "patterns", "mode": "block", "on": None, "aliases": ["*"], "capabilities": ["*"]}
    one, other = (told({"guards": [guard | {"options": {"deny": [word]}}]}, ()) for word in ("a", "b"))
    assert one["digest"] != other["digest"]
