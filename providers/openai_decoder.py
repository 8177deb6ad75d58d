"""What the SDK reads of an answer to a request for a stream: its events, or the JSON that some servers answer with instead, as
the events of a stream that would have told the same."""

from collections.abc import AsyncIterator, Iterator

import orjson
from openai._streaming import ServerSentEvent, SSEDecoder

from providers.openai_events import begins_json, parse, whole_as_events


class Decoder(SSEDecoder):
    """Stands where the SDK has its own, which passes over JSON as over lines that it does not know: the answer would be empty.

    `ends_unnamed`: whether a whole answer may leave out the reason for its end.
    """

    def __init__(self, *, ends_unnamed: bool) -> None:
        super().__init__()
        self._ends_unnamed = ends_unnamed

    def iter_bytes(self, iterator: Iterator[bytes]) -> Iterator[ServerSentEvent]:
        """Raises openai.APIError and aiohttp.ClientPayloadError as `whole_as_events` does."""
        for first in iterator:
            if begins_json(first):
                yield from self._events(b"".join([first, *iterator]))
            else:
                yield from super().iter_bytes(_again(first, iterator))

    async def aiter_bytes(self, iterator: AsyncIterator[bytes]) -> AsyncIterator[ServerSentEvent]:
        """Raises as `iter_bytes` does."""
        async for first in iterator:
            if begins_json(first):
                for event in self._events(b"".join([first, *[block async for block in iterator]])):
                    yield event
            else:
                async for event in super().aiter_bytes(_again_async(first, iterator)):
                    yield event

    def _events(self, body: bytes) -> Iterator[ServerSentEvent]:
        for event in whole_as_events(parse(body), ends_unnamed=self._ends_unnamed):
            yield ServerSentEvent(data=orjson.dumps(event).decode())


def _again(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


async def _again_async(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for block in rest:
        yield block
