from langchain_core.load import dumpd
from langchain_core.messages import AIMessageChunk

from chains.text_chunks import TextChunks


def test_a_chunk_is_the_one_that_its_class_would_have_made() -> None:
    made, expected = TextChunks("msg_1").of("some text"), AIMessageChunk(content="some text", id="msg_1")
    assert made == expected
    assert made.__dict__ == expected.__dict__
    assert made.__pydantic_fields_set__ == expected.__pydantic_fields_set__
    assert made.__pydantic_extra__ == expected.__pydantic_extra__
    assert made.__pydantic_private__ == expected.__pydantic_private__
    assert made.model_dump_json() == expected.model_dump_json()
    assert dumpd(made) == dumpd(expected)
    assert made.model_copy(deep=True) == expected


def test_chunks_share_nothing_that_can_be_changed_and_add_up() -> None:
    chunks = TextChunks("msg_1")
    first, second = chunks.of("a"), chunks.of("b")
    first.additional_kwargs["changed"] = True
    first.tool_calls.append({"name": "f", "args": {}, "id": None})
    assert second == AIMessageChunk(content="b", id="msg_1")
    assert (chunks.of("a") + second).content == "ab"
