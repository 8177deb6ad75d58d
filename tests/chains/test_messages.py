from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.prompts import ChatPromptTemplate
from pydantic import TypeAdapter, ValidationError

from chains.messages import Messages, to_langchain
from chains.openai_format.messages import SentMessages

PARSER: TypeAdapter[Any] = TypeAdapter(Messages)
SENT: TypeAdapter[Any] = TypeAdapter(SentMessages)


def parsed(*messages: Any) -> list[Any]:
    return to_langchain(PARSER.validate_python(list(messages)))


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ({"role": "system", "content": "x"}, SystemMessage),
        ({"role": "developer", "content": "x"}, SystemMessage),
        ({"role": "user", "content": "x"}, HumanMessage),
        ({"role": "human", "content": "x"}, HumanMessage),
        ({"role": "assistant", "content": "x"}, AIMessage),
        ({"role": "tool", "content": "x", "tool_call_id": "1"}, ToolMessage),
        ({"type": "system", "content": "x"}, SystemMessage),
        ({"type": "human", "content": "x", "additional_kwargs": {}, "example": False}, HumanMessage),
        ({"type": "ai", "content": "x"}, AIMessage),
        ({"type": "AIMessageChunk", "content": "x"}, AIMessage),
        ({"type": "tool", "content": "x", "tool_call_id": "1", "status": "success"}, ToolMessage),
    ],
)
def test_a_message_is_who_it_says_it_is(said: dict[str, Any], kind: type[BaseMessage]) -> None:
    [message] = parsed(said)
    assert type(message) is kind
    assert message.text == "x"


def test_langchains_own_messages_come_through_unchanged() -> None:
    messages = [
        SystemMessage("s"),
        HumanMessage("h"),
        AIMessage("", tool_calls=[{"name": "f", "args": {"a": 1}, "id": "1"}]),
        ToolMessage("r", tool_call_id="1"),
        AIMessageChunk(content="c"),
    ]
    assert [type(message) for message in parsed(*messages)] == [SystemMessage, HumanMessage, AIMessage, ToolMessage, AIMessage]
    assert parsed(*messages)[2].tool_calls == messages[2].tool_calls  # type: ignore[attr-defined]


def test_a_prompt_templates_value_is_a_list_of_messages() -> None:
    value = ChatPromptTemplate.from_messages([("system", "s"), ("human", "{q}")]).invoke({"q": "h"})
    assert [message.content for message in to_langchain(PARSER.validate_python(value))] == ["s", "h"]


@pytest.mark.parametrize(
    "value",
    [
        {"messages": [{"type": "human", "content": "h"}]},
        {"type": "ChatPromptValueConcrete", "messages": [{"type": "human", "content": "h"}]},
        {"type": "StringPromptValue", "text": "h"},
    ],
)
def test_a_prompt_templates_value_comes_over_the_wire_as_its_fields(value: dict[str, Any]) -> None:
    assert to_langchain(PARSER.validate_python(value)) == [HumanMessage("h")]


@pytest.mark.parametrize(
    "value", [{"messages": {"messages": []}}, {"messages": "hi"}, {"type": "StringPromptValue"}, {"messages": [], "more": 1}]
)
def test_what_only_looks_like_a_prompts_value_is_refused(value: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PARSER.validate_python(value)


def test_tool_calls_are_taken_in_openais_shape() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    [message] = parsed({"role": "assistant", "content": None, "tool_calls": [call]})
    assert message.tool_calls == [{"name": "f", "args": {"a": 1}, "id": "1", "type": "tool_call"}]


@pytest.mark.parametrize("arguments", ['{"x": ', "[1]", '{ "a":1 }', "{}"])
def test_the_arguments_of_a_call_stay_as_the_model_wrote_them(arguments: str) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": arguments}}
    [said] = PARSER.validate_python([{"role": "assistant", "content": None, "tool_calls": [call]}])
    [message] = to_langchain([said])
    assert message.additional_kwargs["tool_calls"] == [call]
    [kept] = PARSER.validate_python([said.model_dump()])
    assert kept == said, "in a conversation that is kept, too"


def test_cut_arguments_reach_models_that_take_objects_alone_in_one() -> None:
    cut = {"id": "1", "name": "f", "args": '{"x": ', "error": None, "type": "invalid_tool_call"}
    for said in ({"tool_calls": [cut]}, {"invalid_tool_calls": [cut]}):
        [message] = parsed({"type": "ai", "content": "", **said})
        assert [call["args"] for call in message.tool_calls] == [{"INVALID_JSON": '{"x": '}]  # type: ignore[attr-defined]


def test_images_stand_beside_text() -> None:
    url = "data:image/png;base64,aGk="
    parts = [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": url}}]
    [message] = parsed({"role": "user", "content": parts})
    assert message.content[1]["image_url"]["url"] == url


@pytest.mark.parametrize(
    "behind",
    ["#jane.roe@example.com", "jane.roe@example.com", " jane.roe@example.com", "=aGk=", "?x", "\u00fc", "%20", ",aGk="],
)
def test_behind_an_image_in_a_data_url_nothing_goes_out(behind: str) -> None:
    for head in ("aGk=", "aGhp"):
        part = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{head}{behind}"}}
        for parser in (PARSER, SENT):
            with pytest.raises(ValidationError, match="base64"):
                parser.validate_python([{"role": "user", "content": [part]}])


def test_line_breaks_in_a_data_url_do_not_go_out() -> None:
    part = {"type": "image_url", "image_url": {"url": "data:image/jpg;base64,aGho\r\naGk=\n"}}
    [message] = parsed({"role": "user", "content": [part]})
    assert message.content[0]["image_url"]["url"] == "data:image/jpeg;base64,aGhoaGk="


@pytest.mark.parametrize(
    "wrong",
    [
        "hi",
        5,
        None,
        ["human", "hi"],
        {},
        {"content": "x"},
        {"role": "wizard", "content": "x"},
        {"role": ["user"], "content": "x"},
        {"role": "user"},
        {"role": "user", "content": None},
        {"role": "user", "content": 5},
        {"role": "user", "content": []},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "ftp://example.org/image.png"}}]},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]},
        {"role": "tool", "content": "x"},
        {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": 7}}]},
        {"lc": 1, "type": "constructor", "id": ["langchain", "schema"], "kwargs": {}},
    ],
)
def test_anything_else_is_no_message(wrong: Any) -> None:
    with pytest.raises(ValidationError):
        PARSER.validate_python([wrong])


def test_no_message_is_not_a_conversation() -> None:
    with pytest.raises(ValidationError):
        PARSER.validate_python([])
