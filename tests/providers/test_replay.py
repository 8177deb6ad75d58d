"""A kept answer adds up to what the provider's own stream added up to."""

import functools
import operator
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk

from core.context import Usage
from providers.replay import Kept, compact, read, worth_keeping

WORDS = [f"word{number} " for number in range(200)]


def chunk(content: Any = "", info: dict[str, Any] | None = None, **fields: Any) -> ChatGenerationChunk:
    fields.setdefault("response_metadata", {"model_provider": "openai"})
    return ChatGenerationChunk(message=AIMessageChunk(content=content, **fields), generation_info=info)


USAGE: Any = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7, "input_token_details": {"cache_read": 2}}
LAST = chunk("", {"finish_reason": "stop", "model_name": "gpt"}, usage_metadata=USAGE, chunk_position="last")
CALLS = [
    chunk(tool_call_chunks=[tool_call_chunk(name="weather", args='{"ci', id="call_1", index=0)]),
    chunk(tool_call_chunks=[tool_call_chunk(args='ty": "Oslo"}', index=0)]),
    chunk("", {"finish_reason": "tool_calls"}, chunk_position="last"),
]
STREAMS = {
    "text": [chunk("", id="c1"), *(chunk(word, id="c1") for word in WORDS), LAST],
    "calls": [chunk("Let me see. "), *CALLS],
    "logprobs": [*(chunk(word, {"logprobs": {"content": [{"token": word}]}}) for word in WORDS[:3]), LAST],
    "blocks": [
        chunk([{"type": "text", "text": "Hello", "index": 0}]),
        chunk([{"type": "text", "text": " there", "index": 0}]),
        LAST,
    ],
    "one chunk": [chunk("".join(WORDS), {"finish_reason": "stop"}, usage_metadata=USAGE, chunk_position="last")],
    "text and calls at once": [chunk("".join(WORDS), tool_call_chunks=CALLS[0].message.tool_call_chunks), *CALLS[1:]],  # type: ignore[attr-defined]
    "beyond ascii": [chunk("naïve "), chunk("日本語 🎉 👩‍👩‍👧" * 40), LAST],
}


def whole(chunks: list[ChatGenerationChunk]) -> Any:
    total = functools.reduce(operator.add, chunks)
    return total.message, total.generation_info


@pytest.mark.parametrize("name", STREAMS)
def test_a_replay_adds_up_to_the_same(name: str) -> None:
    chunks = STREAMS[name]
    kept = Kept(compact(chunks), "openai", "gpt", Usage(3, 4, estimated=True), 12.5, "Why?")
    again = read(kept.dump())
    assert again == kept
    assert whole(list(again.answer())) == whole(chunks)


@pytest.mark.parametrize("name", ["text", "one chunk"])
def test_a_long_text_comes_in_several_pieces_and_not_in_as_many_as_it_was_made_in(name: str) -> None:
    pieces = [chunk for chunk in Kept(compact(STREAMS[name]), "p", "m", Usage(), 0).answer() if chunk.text]
    assert 8 < len(pieces) <= 32 < len(WORDS)


def test_compacting_leaves_the_chunks_as_they_are() -> None:
    chunks = [chunk("a"), chunk("b"), LAST]
    compact(chunks)
    assert [each.text for each in chunks] == ["a", "b", ""]


@pytest.mark.parametrize("data", [b"", b"{}", b"1", b"[1]", b"not json", b'[0, ["p", "m"], [1, 2, false], 0, null, []]'])
def test_what_is_no_answer_of_this_form_is_not_read(data: bytes) -> None:
    assert read(data) is None


def ending(finish: str, text: str = "An answer.", **fields: Any) -> list[ChatGenerationChunk]:
    return [chunk(text, **fields), chunk("", {"finish_reason": finish})]


@pytest.mark.parametrize(
    ("chunks", "limited", "worth"),
    [
        (ending("stop"), False, True),
        (ending("STOP"), False, True),
        (ending("end_turn"), False, True),
        ([*CALLS], False, True),
        (ending("length"), True, True),
        (ending("length"), False, False),
        (ending("content_filter"), False, False),
        (ending("SAFETY"), False, False),
        (ending("something new"), False, False),
        (ending("stop", text=""), False, False),
        (ending("stop", additional_kwargs={"refusal": "I will not."}), False, False),
        ([chunk("without an end")], False, False),
    ],
)
def test_only_whole_answers_are_worth_keeping(chunks: list[ChatGenerationChunk], limited: bool, worth: bool) -> None:
    assert worth_keeping(chunks, limited=limited) is worth
