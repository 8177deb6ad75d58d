"""The chunks of an OpenAI stream as LangChain's."""

from typing import Any

from langchain_core.messages import AIMessageChunk, BaseMessageChunk
from langchain_core.outputs import ChatGenerationChunk


class Chunks:
    """Converts the events of one stream, in order."""

    def __init__(self, model: Any) -> None:
        self._convert = model._convert_chunk_to_generation_chunk  # noqa: SLF001 - held by a contract test
        self._kind: type[BaseMessageChunk] = AIMessageChunk

    def convert(self, event: dict[str, Any]) -> ChatGenerationChunk | None:
        """The chunk of an event, None where it says nothing."""
        chunk: ChatGenerationChunk | None = self._convert(event, self._kind, {})
        if chunk is not None:
            self._kind = type(chunk.message)
        return chunk
