"""Another program: calls every capability through RemoteRunnable and prints what it got. Run by test_remote_runnable."""

import asyncio
import json
import sys
from typing import Any

from langserve import RemoteRunnable


def shown(value: Any) -> Any:
    """The kind of an answer and its content, in JSON."""
    if hasattr(value, "content"):
        return {"kind": type(value).__name__, "content": value.content, "usage": value.usage_metadata}
    return {"kind": type(value).__name__, "content": dict(value) if isinstance(value, dict) else value}


async def first_and_last_event(remote: RemoteRunnable[Any, Any], value: Any) -> list[str]:
    names = [event["event"] async for event in remote.astream_events(value, version="v2")]
    return [names[0], names[-1]]


def called(base: str, key: str, capability: str, value: Any) -> dict[str, Any]:
    """What each way of calling gives."""
    remote: RemoteRunnable[Any, Any] = RemoteRunnable(f"{base}/api/v1/{capability}", headers={"Authorization": f"Bearer {key}"})
    chunks = list(remote.stream(value))
    total = chunks[0]
    for chunk in chunks[1:]:
        total = total + chunk
    return {
        "invoke": shown(remote.invoke(value)),
        "batch": [shown(answer) for answer in remote.batch([value, value])],
        "stream": shown(total),
        "chunks": len(chunks),
        "events": asyncio.run(first_and_last_event(remote, value)),
    }


if __name__ == "__main__":
    base, key, inputs = sys.argv[1], sys.argv[2], json.loads(sys.stdin.read())
    print(json.dumps({name: called(base, key, name, value) for name, value in inputs.items()}))  # noqa: T201 - its answer
