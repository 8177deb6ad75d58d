"""Lines of a stream: where they end, and how long they may be."""

import pytest
from aiohttp import ClientTimeout, web
from aiohttp.test_utils import TestServer

from core import traces
from core.settings import Settings
from core.traces.sending import Tracing
from providers import wire
from providers.wire import Lines, TooMuch, Wire
from tests.collector import Collector, collector

__all__ = ["collector"]


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_lines_end_in_any_of_three_ways_wherever_blocks_do(ending: bytes, size: int) -> None:
    raw = ending.join([b"data: 1", b"", b"data: 2", b"", b"rest"])
    lines = Lines()
    found = [line for at in range(0, len(raw), size) for line in lines.of(raw[at : at + size]) if line]
    assert (found, lines.rest()) == ([b"data: 1", b"data: 2"], b"rest")


def test_a_line_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "LINE_BYTES", 100)
    lines = Lines()
    for _ in range(40):
        assert lines.of(b"data: 1234\n") == [b"data: 1234"], "lines that end may be many"
    for _ in range(10):
        lines.of(b"x" * 10)
    with pytest.raises(TooMuch):
        lines.of(b"x")


@pytest.mark.parametrize("tells", [True, False])
async def test_a_provider_is_told_of_a_trace_where_the_settings_say_so(
    tells: bool, settings: Settings, collector: Collector
) -> None:
    told: list[str | None] = []

    async def answer(request: web.Request) -> web.Response:
        told.append(request.headers.get("traceparent"))
        return web.json_response({})

    app = web.Application()
    app.router.add_post("/v1/chat", answer)
    async with TestServer(app) as server:
        sender = Wire(f"http://127.0.0.1:{server.port}/v1")
        tracing = Tracing(Settings.load(data_dir=settings.data_dir, traces={"tell_providers": tells}))
        traces.connect(tracing)
        try:
            with traces.joining("request", None):
                carried = traces.carried()
                (await sender.post("/chat", {}, ClientTimeout(total=5))).release()
        finally:
            traces.connect(None)
            tracing.close()
            await sender.close()
    assert carried is not None
    assert told == [carried if tells else None]
