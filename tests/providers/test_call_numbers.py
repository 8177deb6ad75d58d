"""Tool calls that come in pieces are whole and apart, however the server numbers them, by either transport."""

import json
from typing import Any

import pytest

from core.settings import Settings
from providers.call_numbers import CallNumbers
from providers.models import Models
from tests.fakes.clouds import CLOUDS, installation
from tests.fakes.wire import Raw

Piece = dict[str, Any]
OSLO, CET = '{"city": "Oslo"}', '{"zone": "CET"}'
WANTED = [("weather", {"city": "Oslo"}), ("clock", {"zone": "CET"})]


def piece(call: str, name: str | None, arguments: str, **more: Any) -> Piece:
    named = {"id": f"call_{call}", "type": "function"} if call else {}
    return named | {"function": {"arguments": arguments} | ({"name": name} if name else {})} | more


#: The deltas of two calls, by what is odd about their numbers.
DELTAS: dict[str, list[list[Piece]]] = {
    "numbered": [[piece("a", "weather", "", index=0)], [piece("", None, OSLO, index=0)], [piece("b", "clock", CET, index=1)]],
    "same-index": [[piece("a", "weather", OSLO, index=0)], [piece("b", "clock", CET, index=0)]],
    "same-index-in-pieces": [
        [piece("a", "weather", "", index=0)],
        [piece("", None, OSLO[:5], index=0)],
        [piece("", None, OSLO[5:], index=0)],
        [piece("b", "clock", CET[:4], index=0)],
        [piece("", None, CET[4:], index=0)],
    ],
    "same-index-at-once": [[piece("a", "weather", OSLO, index=0), piece("b", "clock", CET, index=0)]],
    "no-index": [[piece("a", "weather", OSLO)], [piece("b", "clock", CET)]],
    "no-index-in-pieces": [
        [piece("a", "weather", OSLO[:5])],
        [piece("", None, OSLO[5:])],
        [piece("b", "clock", "")],
        [piece("b", None, CET)],
    ],
    "no-index-by-turns": [
        [piece("a", "weather", OSLO[:5]), piece("b", "clock", CET[:4])],
        [piece("a", None, OSLO[5:]), piece("b", None, CET[4:])],
    ],
    "null-index": [[piece("a", "weather", OSLO, index=None)], [piece("b", "clock", CET, index=None)]],
    "another-id-a-piece": [
        [piece("a", "weather", OSLO[:5], index=0)],
        [piece("x", None, OSLO[5:], index=0)],
        [piece("b", "clock", CET, index=1)],
    ],
    "by-turns": [
        [piece("a", "weather", OSLO[:5], index=0)],
        [piece("b", "clock", CET, index=1)],
        [piece("", None, OSLO[5:], index=0)],
    ],
    "text-then-number": [
        [piece("a", "weather", "", index="0")],
        [piece("", None, OSLO[:5], index=0)],
        [piece("b", "clock", CET[:4], index=1)],
        [piece("", None, OSLO[5:], index="0")],
        [piece("", None, CET[4:], index="1")],
    ],
    "fraction": [
        [piece("a", "weather", OSLO[:5], index=0.0)],
        [piece("b", "clock", CET, index=1.0)],
        [piece("", None, OSLO[5:], index=0)],
    ],
    "now-and-then": [
        [piece("a", "weather", OSLO[:5], index="0")],
        [piece("", None, OSLO[5:])],
        [piece("b", "clock", CET[:4])],
        [piece("", None, CET[4:], index=1)],
    ],
    "named-by-a-word": [[piece("a", "weather", OSLO, index="first")], [piece("b", "clock", CET, index=[1])]],
    "yes-and-no": [[piece("a", "weather", OSLO, index=False)], [piece("b", "clock", CET, index=True)]],
    "from-one": [[piece("a", "weather", OSLO, index=1)], [piece("b", "clock", CET, index=2)]],
}


def stream_of(deltas: list[list[Piece]]) -> Raw:
    def event(delta: Piece, ending: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": ending}
        return f"data: {json.dumps({'id': 'c1', 'created': 1, 'model': 'm', 'choices': [choice]})}\n\n"

    events = [event({"role": "assistant", "content": None}), *(event({"tool_calls": calls}) for calls in deltas)]
    return Raw("".join([*events, event({}, "tool_calls"), "data: [DONE]\n\n"]).encode(), content_type="text/event-stream")


@pytest.mark.parametrize("cloud", ["compatible", "azure"])
@pytest.mark.parametrize("transport", ["direct", "sdk"])
async def test_calls_are_whole_and_apart(settings: Settings, cloud: str, transport: str) -> None:
    with CLOUDS[cloud].start() as fake:
        over = {"providers": {CLOUDS[cloud].provider: CLOUDS[cloud].settings(fake, transport=transport)}}
        models = Models(Settings.load(data_dir=settings.data_dir, **installation({cloud: fake}) | over))
        await models.warm(local=False)
        model: Any = models.chat()
        for name, deltas in DELTAS.items():
            fake.then(stream_of(deltas), stream_of(deltas))
            chunks: list[Any] = [chunk async for chunk in model.astream("Oslo?")]
            model.deployments[0].standing.token_s.value = None  # an answer is gathered, however fast the server is
            streamed, whole = sum(chunks[1:], chunks[0]), await model.ainvoke("Oslo?")
            for answer in (streamed, whole):
                assert [(call["name"], call["args"]) for call in answer.tool_calls] == WANTED, (name, answer)
                assert [call["id"] for call in answer.tool_calls] == ["call_a", "call_b"], name
                assert not answer.invalid_tool_calls
            numbers = [call["index"] for chunk in chunks for call in chunk.tool_call_chunks]
            assert set(numbers) == {0, 1}, (name, numbers)
        await models.close()


def test_a_piece_that_says_nothing_of_its_call_goes_on_with_the_last() -> None:
    numbers = CallNumbers()
    found = [numbers.of(None, *piece) for piece in [(None, "a"), (None, None), ("1", "b"), (None, None), ("1", None)]]
    assert found == [0, 0, 1, 1, 1]
