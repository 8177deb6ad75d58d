import re
from typing import Any

import pytest
from pydantic import ValidationError

from chains.chat import ChatRequest
from chains.parameters import bind
from tests.chains.fakes import ScriptedChat

SAID = {"messages": [{"role": "user", "content": "x"}]}
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}}}


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": "0.5"},
        {"temperature": -1},
        {"temperature": 2.1},
        {"temperature": float("nan")},
        {"max_tokens": 0},
        {"max_tokens": True},
        {"max_tokens": 1.5},
        {"seed": 2**63},
        {"seed": -1},
        {"stop": []},
        {"stop": ["x"] * 17},
        {"stop": ""},
        {"model": 5},
        {"tools": []},
        {"tools": [TOOL, TOOL]},
        {"tools": [{"type": "function", "function": {"name": "a b"}}]},
        {"tools": [{"type": "web_search"}]},
        {"tool_choice": "sometimes"},
        {"response_format": {"type": "yaml"}},
        {"response_format": {"type": "json_schema"}},
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "no-such-type"}}}},
        {"session_id": "../x"},
        {"base_url": "http://example.test"},
        {"temprature": 1},
    ],
)
def test_a_parameter_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ChatRequest.model_validate(SAID | wrong)


@pytest.mark.parametrize("stop", [[], [""], "", ["x"] * 17, ["x" * 257]], ids=["none", "empty", "text", "many", "long"])
def test_what_may_end_an_answer_is_said_with_its_limits(stop: Any) -> None:
    with pytest.raises(ValidationError, match="give one text or 1 to 16 of them, each of 1 to 256 characters") as refused:
        ChatRequest.model_validate(SAID | {"stop": stop})
    assert [error["loc"] for error in refused.value.errors()] == [("stop",)]


def _form(schema: dict[str, Any]) -> dict[str, Any]:
    return SAID | {"response_format": {"type": "json_schema", "json_schema": {"schema": schema}}}


@pytest.mark.parametrize("to", ["http://127.0.0.1:9/secret.json", "other.json#/x", "file:///etc/passwd"])
def test_a_schema_that_refers_to_another_document_is_refused(to: str) -> None:
    with pytest.raises(ValidationError, match="leads outside"):
        ChatRequest.model_validate(_form({"type": "object", "properties": {"a": {"anyOf": [{"$ref": to}]}}}))


@pytest.mark.parametrize("to", ["#/nope", "#nope", "#/$defs/b", "#/type/x", "#/properties/a/anyOf/7", "#/properties/a/anyOf/x"])
def test_a_reference_that_leads_nowhere_is_refused_with_its_name(to: str) -> None:
    with pytest.raises(ValidationError, match=f"leads nowhere: {re.escape(to)}"):
        ChatRequest.model_validate(
            _form({"$defs": {"a": {}}, "type": "object", "properties": {"a": {"anyOf": [{"$ref": to}]}}})
        )


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"tool_choice": "required"}, "there are no tools"),
        ({"tool_choice": {"type": "function", "function": {"name": "x"}}}, "there are no tools"),
        ({"tool_choice": {"type": "function", "function": {"name": "x"}}, "tools": [TOOL]}, "is none of the tools"),
    ],
)
def test_a_tool_that_must_be_called_has_to_be_there(more: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why) as refused:
        ChatRequest.model_validate(SAID | more)
    assert [error["loc"] for error in refused.value.errors()] == [("tool_choice",)]


PARTS = {"$defs": {"a/b c": {"oneOf": [{"type": "string"}]}, "named": {"$anchor": "x"}}}


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"$ref": {"type": "string", "default": "http://x", "enum": [{"$ref": "x"}]}}},
        PARTS | {"items": {"$ref": "#/$defs/a~1b%20c/oneOf/0"}},
        PARTS | {"items": {"$ref": "#x"}, "additionalProperties": {"$ref": "#"}},
        {"$defs": {"own": {"$id": "https://example.com/own", "items": {"$ref": "#/$defs/in-own"}, "$defs": {"in-own": {}}}}},
    ],
    ids=["a field of that name", "escaped", "an anchor and the whole", "a part with an id of its own"],
)
def test_a_schema_may_refer_to_its_own_parts(schema: dict[str, Any]) -> None:
    asked = ChatRequest.model_validate(_form(schema))
    assert asked.response_format is not None
    assert asked.response_format.model_dump()["json_schema"]["schema"] == schema


def test_a_model_gets_what_was_asked_and_no_more() -> None:
    asked = ChatRequest.model_validate(
        SAID | {"temperature": 0, "stop": "end", "tools": [TOOL], "tool_choice": "any", "response_format": SCHEMA, "model": "m"}
    )
    bound = bind(ScriptedChat(), asked, {"max_tokens": 9, "temperature": 1}).kwargs  # type: ignore[attr-defined]
    assert bound == {
        "temperature": 0,
        "max_tokens": 9,
        "stop": ["end"],
        "tools": [TOOL],
        "tool_choice": "required",
        "response_format": SCHEMA,
    }


def test_a_model_of_which_nothing_is_asked_stays_as_it_is() -> None:
    model = ScriptedChat()
    assert bind(model, ChatRequest.model_validate(SAID | {"response_format": {"type": "text"}})) is model
