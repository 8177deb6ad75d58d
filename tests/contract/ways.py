"""The ways to ask for an answer, from a runnable to each HTTP door, and what a caller sees of it through each of them."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

import httpx
from langchain_core.language_models import BaseChatModel

from core.errors import PlatformError
from core.settings import Settings
from providers.models import Models
from server.langserve_routes import register
from server.openai_door.routes import open_door
from tests.server.capabilities import built
from tests.server.serving import platform

ASKED = "Hello"
MESSAGES = [{"role": "user", "content": ASKED}]


@dataclass(frozen=True)
class Seen:
    """`code` is that of the error with which it ended, None where it ended as success."""

    text: str
    code: str | None = None


@dataclass(frozen=True)
class Doors:
    """The models of an installation, and a client of the application before them."""

    models: Models
    client: httpx.AsyncClient

    async def post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        return await self.client.post(path, json=body)


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Doors]:
    """The chat capability behind its doors, warm, with the platform's own layers, in this process."""
    models = Models(settings)
    await models.warm(local=False)
    app = platform(settings, models=models)
    capabilities = built(settings, cast("Any", models), only=("chat", "completion"))
    register(app, capabilities)
    open_door(app, capabilities["chat"][1], capabilities["completion"][1], models)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test", timeout=30) as client:
        yield Doors(models, client)
    await models.close()


# --- the runnable -----------------------------------------------------------------------------------------------------------


async def ainvoked(doors: Doors, alias: str) -> Seen:
    try:
        return Seen((await doors.models.chat(alias).ainvoke(ASKED)).text)
    except PlatformError as error:
        return Seen("", error.code)


async def ainvoked_at_once(doors: Doors, alias: str) -> Seen:
    """Of deployments that are known to be fast, which are asked for the whole answer rather than for a stream."""
    for served in doors.models.chat(alias).deployments:  # type: ignore[attr-defined] # ours
        served.standing.token_s.value = 1e-6
    return await ainvoked(doors, alias)


async def astreamed(doors: Doors, alias: str) -> Seen:
    pieces: list[str] = []
    try:
        async for chunk in doors.models.chat(alias).astream(ASKED):
            pieces.append(chunk.text)  # noqa: PERF401 - what came before an error is kept
    except PlatformError as error:
        return Seen("".join(pieces), error.code)
    return Seen("".join(pieces))


async def invoked(doors: Doors, alias: str) -> Seen:
    def ask(model: BaseChatModel) -> Seen:
        try:
            return Seen(model.invoke(ASKED).text)
        except PlatformError as error:
            return Seen("", error.code)

    return await asyncio.to_thread(ask, doors.models.chat(alias))


async def streamed(doors: Doors, alias: str) -> Seen:
    def ask(model: BaseChatModel) -> Seen:
        pieces: list[str] = []
        try:
            pieces.extend(chunk.text for chunk in model.stream(ASKED))
        except PlatformError as error:
            return Seen("".join(pieces), error.code)
        return Seen("".join(pieces))

    return await asyncio.to_thread(ask, doors.models.chat(alias))


# --- plain REST -------------------------------------------------------------------------------------------------------------


async def by_rest(doors: Doors, alias: str) -> Seen:
    answer = await doors.post("/api/v1/chat", {"model": alias, "messages": MESSAGES})
    return _refused(answer) or Seen(answer.json()["output"])


async def by_rest_streamed(doors: Doors, alias: str) -> Seen:
    answer = await doors.post("/api/v1/chat", {"model": alias, "messages": MESSAGES, "stream": True})
    if refused := _refused(answer):
        return refused
    events = _events(answer)
    text = "".join(json.loads(data)["text"] for name, data in events if name == "token")
    name, data = events[-1]
    return _ended(text, name == "done" and json.loads(data)["output"] == text, data)


# --- LangServe --------------------------------------------------------------------------------------------------------------


async def by_langserve(doors: Doors, alias: str) -> Seen:
    answer = await doors.post("/api/v1/chat/invoke", {"input": {"model": alias, "messages": MESSAGES}})
    return _refused(answer) or Seen(answer.json()["output"]["content"])


async def by_langserve_streamed(doors: Doors, alias: str) -> Seen:
    answer = await doors.post("/api/v1/chat/stream", {"input": {"model": alias, "messages": MESSAGES}})
    if refused := _refused(answer):
        return refused
    events = _events(answer)
    text = "".join(json.loads(data)["content"] for name, data in events if name == "data")
    name, data = events[-1]
    return _ended(text, name == "end", data)


# --- OpenAI's door ----------------------------------------------------------------------------------------------------------


async def by_openai(doors: Doors, alias: str) -> Seen:
    answer = await doors.post("/v1/chat/completions", {"model": alias, "messages": MESSAGES})
    if refused := _refused(answer):
        return refused
    (choice,) = answer.json()["choices"]
    return Seen(choice["message"]["content"], None if choice["finish_reason"] == "stop" else choice["finish_reason"])


async def by_openai_streamed(doors: Doors, alias: str) -> Seen:
    answer = await doors.post("/v1/chat/completions", {"model": alias, "messages": MESSAGES, "stream": True})
    if refused := _refused(answer):
        return refused
    *events, (_, last) = _events(answer)
    choices = [choice for _, data in events for choice in json.loads(data)["choices"]]
    text = "".join(choice["delta"].get("content") or "" for choice in choices)
    reasons = [choice["finish_reason"] for choice in choices if choice["finish_reason"]]
    return _ended(text, last == "[DONE]" and reasons == ["stop"], last)


def _refused(answer: httpx.Response) -> Seen | None:
    return None if answer.status_code == 200 else Seen("", _ours(answer.json()["error"]["code"]))


def _ours(code: str) -> str:
    """The platform's name of an error that OpenAI's door names in OpenAI's way."""
    return {"rate_limit_exceeded": "rate_limited", "content_filter": "content_refused"}.get(code, code)


def _events(answer: httpx.Response) -> list[tuple[str, str]]:
    """The events of a stream, each with its name; without one it is a `message`."""
    events = []
    for block in answer.text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "data" in fields or "event" in fields:
            events.append((fields.get("event", "message"), fields.get("data", "")))
    return events


def _ended(text: str, whole: bool, last: str) -> Seen:
    """What was seen of a stream that ended as success or else with the error in `last`."""
    if whole:
        return Seen(text)
    told = json.loads(last) if last.startswith("{") else {}
    return Seen(text, _ours(told.get("error", {}).get("code", "ended without a word")))


Way = Callable[[Doors, str], Awaitable[Seen]]
WHOLE: tuple[Way, ...] = (ainvoked, ainvoked_at_once, invoked, by_rest, by_langserve, by_openai)
STREAMED: tuple[Way, ...] = (astreamed, streamed, by_rest_streamed, by_langserve_streamed, by_openai_streamed)
