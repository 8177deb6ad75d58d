"""A program of its own that calls capabilities through RemoteRunnable and prints what it got, as JSON.

Run by test_remote_runnable with the server's address; it uses nothing of the platform but that.
"""

import asyncio
import json
import sys
from typing import Any

import httpx
from langchain_core.messages import HumanMessage
from langchain_core.prompts import ChatPromptTemplate, PromptTemplate
from langserve import RemoteRunnable
from langserve.serialization import WellKnownLCSerializer


class RemoteError(Exception):
    """What the platform says went wrong with one input of a batch."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error["message"])
        self.code = error["code"]


class ErrorsInPlace(WellKnownLCSerializer):
    """Reads errors that stand in the place of answers."""

    def loadd(self, obj: Any) -> Any:
        if isinstance(obj, list):
            return [self.loadd(item) for item in obj]
        if isinstance(obj, dict) and set(obj) == {"error", "status"}:
            return RemoteError(obj["error"])
        return super().loadd(obj)


def told(value: Any) -> Any:
    """A value as JSON, with the name of its class where that matters."""
    if isinstance(value, httpx.HTTPStatusError):
        try:
            return {"status": value.response.status_code, "code": value.response.json()["error"]["code"]}
        except httpx.ResponseNotRead:  # RemoteRunnable does not read the body of a stream that is refused
            return {"status": value.response.status_code}
    if isinstance(value, RemoteError):
        return {"error": value.code}
    if hasattr(value, "model_dump"):
        return {"class": type(value).__name__, **value.model_dump(exclude={"id"})}
    return value


def added(chunks: list[Any]) -> Any:
    total = chunks[0]
    for chunk in chunks[1:]:
        total = total + chunk
    return total


async def caught(work: Any) -> Any:
    try:
        return told(await work)
    except httpx.HTTPStatusError as error:
        return told(error)


async def collect(stream: Any) -> Any:
    """Chunks and the error that ended them, if one did."""
    chunks: list[Any] = []
    try:
        async for chunk in stream:
            chunks.append(chunk)  # noqa: PERF401 - what came before an error counts
    except httpx.HTTPStatusError as error:
        return [[told(chunk) for chunk in chunks], told(error)]
    return chunks


async def all_ways(remote: Any, value: Any) -> dict[str, Any]:
    events = [event async for event in remote.astream_events(value, version="v2")]
    chunks = await collect(remote.astream(value))
    return {
        "invoke": told(await asyncio.to_thread(remote.invoke, value)),
        "ainvoke": told(await remote.ainvoke(value)),
        "batch": [told(one) for one in await asyncio.to_thread(remote.batch, [value, value])],
        "abatch": [told(one) for one in await remote.abatch([value, value])],
        "stream": told(added(await asyncio.to_thread(lambda: list(remote.stream(value))))),
        "astream": told(added(chunks)),
        "chunks": [told(chunk) for chunk in chunks],
        "events": [event["event"] for event in events],
        "event_names": sorted({event["name"] for event in events}),
        "last_event": told(events[-1]["data"]["output"]),
        "everything": repr(events),
    }


async def main(base: str, inputs: dict[str, Any]) -> dict[str, Any]:
    def remote(path: str, **kwargs: Any) -> Any:
        return RemoteRunnable(f"{base}/api/v1/{path}", **kwargs)

    def say(text: str) -> dict[str, Any]:
        return {"messages": [HumanMessage(text)]}

    chat = remote("chat")
    tolerant = remote("chat", headers={"x-genai-return-exceptions": "true"}, serializer=ErrorsInPlace())
    mixed = [say("hello"), say("busy"), {"messages": []}]
    return {
        "ways": {name: await all_ways(remote(name), value) for name, value in inputs.items()},
        "busy": await caught(chat.ainvoke(say("busy"))),
        "busy_stream": await collect(chat.astream(say("busy"))),
        "cut_stream": await collect(chat.astream(say("cut here"))),
        "cut_events": (await collect(chat.astream_events(say("cut here"), version="v2")))[1],
        "prompted": [
            told(await ({"messages": template} | chat).ainvoke({"x": "hi"}))
            for template in (ChatPromptTemplate.from_messages([("user", "Say {x}")]), PromptTemplate.from_template("Say {x}"))
        ],
        "wrong": await caught(chat.ainvoke({"messages": [["human", "hi"]]})),
        "batch": [told(one) for one in await asyncio.to_thread(tolerant.batch, mixed, return_exceptions=True)],
        "batch_as_it_is": [told(one) for one in await asyncio.to_thread(chat.batch, mixed, return_exceptions=True)],
        "too_many": await caught(chat.abatch([say("hello")] * 51)),
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(sys.argv[1], json.loads(sys.stdin.read())))))  # noqa: T201 - its answer
