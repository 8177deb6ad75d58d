"""The chunks of a continuation, as far as they are to be sent after what was sent before: their text, and the log probabilities
of its tokens."""

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk

from providers.attempt import Attempt
from providers.collecting import finish_reason
from providers.continuation import Seam
from providers.failures import StreamCut

Token = dict[str, Any]


class Joining:
    """Of one attempt, which goes on with an answer where there is a `seam`. What that holds back waits here with its tokens."""

    def __init__(self, seam: Seam | None = None) -> None:
        self.seam = seam
        self._tokens: list[Token] = []

    def of(self, chunk: ChatGenerationChunk, attempt: Attempt) -> Sequence[ChatGenerationChunk]:
        """A chunk, as far as it is to be sent.

        Raises:
            StreamCut: it was cut as well, adds nothing to an answer that lacks something, or cannot be joined for certain.
        """
        seam = self.seam
        if seam is None or seam.joined:
            return (chunk,)
        message: Any = chunk.message
        ends = finish_reason(chunk) is not None
        try:
            text = seam.feed(chunk.text)
            if message.tool_call_chunks or ends:
                text += seam.end()
            if ends and seam.missing:
                raise StreamCut  # noqa: TRY301
        except StreamCut:
            attempt.reject()
            raise
        if text and text == chunk.text:
            self._tokens.clear()
            return (chunk,)
        info = dict(chunk.generation_info or {})
        told = info.pop("logprobs", None)
        self._tokens += _tokens_of(told)
        rest = ChatGenerationChunk(
            message=message.model_copy(update={"content": ""}) if chunk.text else message, generation_info=info or None
        )
        if not text:
            return (rest,)
        tokens, self._tokens = tokens_of_the_end(self._tokens, text), []
        piece = ChatGenerationChunk(
            message=AIMessageChunk(content=text, id=message.id),
            generation_info={"logprobs": {"content": tokens, "refusal": None}} if tokens else None,
        )
        return (piece, rest)


def tokens_of_the_end(tokens: Sequence[Token], end: str) -> list[Token]:
    """The tokens of the last part of a text, as OpenAI tells them. One that is divided there keeps its probability and the part
    of its text. None where they are not those of the text."""
    found: list[Token] = []
    left = end.encode()
    for token in reversed(tokens):
        said = _said(token)
        if said is None or not (left.endswith(said) or said.endswith(left)):
            return []
        if not left:
            break
        if len(said) > len(left):
            token = token | {"token": left.decode(errors="replace"), "bytes": list(left)}
        found.append(token)
        left = left[: max(0, len(left) - len(said))]
    return [] if left else found[::-1]


def _said(token: Token) -> bytes | None:
    """What a token says, which may be a part of a character; None where it does not tell."""
    try:
        return bytes(token["bytes"]) if token.get("bytes") else token["token"].encode()
    except (LookupError, TypeError, ValueError, AttributeError):
        return None


def _tokens_of(told: Any) -> list[Token]:
    tokens = told.get("content") if isinstance(told, dict) else None
    return [token for token in tokens if isinstance(token, dict)] if isinstance(tokens, list) else []
