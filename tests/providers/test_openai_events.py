"""Events are taken as OpenAI's SDK takes them, however the server writes them."""

import json
from typing import Any

import pytest

from core.settings import Settings
from providers.models import Models
from providers.openai_events import Events
from tests.fakes.clouds import CLOUDS, installation
from tests.fakes.openai import OpenAIFake
from tests.fakes.wire import Raw, Reply

EVENTS = OpenAIFake().streamed(Reply("Grüße, 世界"), {"stream_options": {"include_usage": True}})


def pretty(event: Any) -> str:
    return "".join(f"data: {line}\n" for line in json.dumps(event, indent=1, ensure_ascii=False).splitlines()) + "\n"


WRITTEN = {
    "several-lines": "".join(map(pretty, EVENTS)) + "data: [DONE]\n\n",
    "by-turns": "".join(f"data: {json.dumps(e)}\n\n" if n % 2 else pretty(e) for n, e in enumerate(EVENTS))
    + "data: [DONE]\n\n",
    "with-fields": "".join(f"id: 1\nevent: message\n: ping\n{pretty(event)}" for event in EVENTS) + "data: [DONE]\n\n",
}


@pytest.mark.parametrize("written", WRITTEN)
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_an_event_may_stand_on_several_lines(written: str, ending: str, size: int) -> None:
    raw, events = WRITTEN[written].replace("\n", ending).encode(), Events()
    found = [event for at in range(0, len(raw), size) for event in events.of(raw[at : at + size])]
    assert (found, events.ended, events.error) == (EVENTS, True, None)


@pytest.mark.parametrize(
    "broken", ["data: {not json\n\n", 'data: {"a":\ndata: }\n\n', "data: 5\n\n", 'data: {"a": 1\n\ndata: }\n\n']
)
def test_an_event_that_is_no_json_object_is_an_error_once_it_has_ended(broken: str) -> None:
    events = Events()
    assert events.of(b'data: {"id": 1}\n\n' + broken.encode()) == [{"id": 1}]
    assert events.error is not None
    assert not events.ended


@pytest.mark.parametrize("transport", ["direct", "sdk"])
@pytest.mark.parametrize("headers", [{}, {"x-trace": "a" * 60_000}], ids=["", "long-header"])
async def test_both_transports_read_the_same(settings: Settings, transport: str, headers: dict[str, str]) -> None:
    with CLOUDS["openai"].start() as fake:
        over = {"providers": {"openai": CLOUDS["openai"].settings(fake, transport=transport)}}
        models = Models(Settings.load(data_dir=settings.data_dir, **installation({"openai": fake}) | over))
        await models.warm(local=False)
        model: Any = models.chat()
        for _ in range(2):
            fake.then(Raw(WRITTEN["several-lines"].encode(), content_type="text/event-stream", headers=headers))
        assert "".join([chunk.text async for chunk in model.astream("Hi")]) == "Grüße, 世界"
        model.deployments[0].standing.token_s.value = None  # an answer is gathered, however fast the server is
        assert (await model.ainvoke("Hi")).text == "Grüße, 世界"
        assert len(fake.asked) == 2
        await models.close()
