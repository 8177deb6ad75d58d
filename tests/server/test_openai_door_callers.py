"""Callers without a right, and callers who hang up."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from core.principals import Scope
from core.settings import Settings
from server.streams import CallerGone, GoneResponse
from tests.fakes.openai import OpenAIFake
from tests.fakes.wire import Break, Fault
from tests.server.doors import HELLO, error_of, opened, with_provider
from tests.server.serving import EVERYBODY, platform, served


@pytest.fixture
def provider() -> Iterator[OpenAIFake]:
    with OpenAIFake() as fake:
        yield fake


async def test_a_key_without_the_right_is_refused(settings: Settings, provider: OpenAIFake) -> None:
    settings = with_provider(settings, provider)
    nobody = replace(EVERYBODY, scopes=frozenset({Scope.CHAT_INVOKE}))
    app = platform(settings, principal=nobody)
    opened(app, settings)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        for method, path in (("POST", "completions"), ("POST", "embeddings"), ("GET", "models"), ("GET", "models/default")):
            answer = await client.request(method, f"/v1/{path}", json={"prompt": "x"} if method == "POST" else None)
            assert (answer.status_code, error_of(answer)["code"]) == (403, "forbidden")
            assert error_of(answer)["type"] == "permission_error"


async def test_hanging_up_cancels_the_providers_work(settings: Settings, provider: OpenAIFake) -> None:
    settings = with_provider(settings, provider)
    app = platform(settings)
    app.add_exception_handler(CallerGone, _answer_nobody)
    models = opened(app, settings)
    provider.always(Break(Fault.STALLED, 3))
    with served(app) as url:
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as client:
            async with client.stream("POST", "/v1/chat/completions", json=HELLO | {"stream": True, "n": 2}) as answer:
                assert (await anext(answer.aiter_lines())).startswith("data: ")
            await provider.until(lambda: provider.left == 2)
            whole = asyncio.create_task(client.post("/v1/chat/completions", json=HELLO))
            await provider.until(lambda: len(provider.asked) == 3)
            whole.cancel()
            await provider.until(lambda: provider.left == 3)
            await models.close()


async def _answer_nobody(_request: Any, _error: Exception) -> GoneResponse:
    return GoneResponse()
