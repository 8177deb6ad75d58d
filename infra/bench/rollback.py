"""A rollback under load: several processes go by the version before within a second, nobody is refused, and no answer is of two
versions."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import orjson

from core.settings import Settings
from core.valkey import EmbeddedValkey
from infra.bench import gateway
from infra.postgresql import database_of_platform, postgresql
from infra.running import Running
from infra.several import several

#: The model that each version asks, by the version's number.
MODELS: Final = {1: "mock", 2: "mock-20ms"}
#: Seconds from the call within which every process has switched.
PROMISED_S: Final = 1.0
REGISTRY: Final = "/api/v1/models/registry/mock"
_PROVIDER = "openai_compatible:mock"


@dataclass(frozen=True, slots=True)
class Answer:
    """When it was asked for, by `time.monotonic`, and which version and model gave it. `problem` says why there is none."""

    asked: float
    version: int
    model: str
    problem: str = ""

    @property
    def mixed(self) -> bool:
        """Whether one version is told and another's model has answered."""
        return MODELS.get(self.version) != self.model


@contextmanager
def processes(place: Path, count: int) -> Iterator[list[Running]]:
    """Servers on one PostgreSQL and one Valkey, before one provider. Version 1 is what their settings say."""
    with ExitStack() as stack:
        valkey = EmbeddedValkey(Settings.load(data_dir=place / "valkey"))
        stack.callback(valkey.close)
        redis_url = valkey.start()
        provider = stack.enter_context(gateway.mock_provider())
        database = database_of_platform(stack.enter_context(postgresql()), "genai")
        configuration = (
            f'[[models]]\nalias = "mock"\n[[models.deployments]]\nprovider = "{_PROVIDER}"\nmodel = "{MODELS[1]}"\n'
            f'[providers."{_PROVIDER}"]\nbase_url = "{provider}/v1"\napi_key = "none"\n'
        )
        settings = {"GENAI_DATABASE_URL": database, "GENAI_REDIS_URL": redis_url, "GENAI_JOBS__EMBEDDED_WORKER": "false"}
        yield stack.enter_context(several(place, count, configuration=configuration, **settings))


async def rolled_back(place: Path, *, per_s: int, seconds: float, servers: int = 4) -> dict[str, float]:
    """`per_s` requests a second over the processes, a quarter of them streams, for `seconds` before and after version 2 is
    taken back. How many were answered, by which version, and when the last one that version 2 has answered was asked for.

    Raises:
        AssertionError: one failed, is of two versions, or was given version 2 too late.
    """
    with processes(place, servers) as started:
        with started[0].client() as client:
            new = {"deployments": [{"provider": _PROVIDER, "model": MODELS[2]}], "reason": "To be taken back."}
            client.post(f"{REGISTRY}/versions", json=new).raise_for_status()
            client.post(f"{REGISTRY}/deploy", json={"version": 2}).raise_for_status()
        await _until_all_have(started, version=2)
        answers, called, took_s = await _asked(started, per_s, seconds)
    figures = {
        "answered": float(len(answers)),
        "failed": float(sum(bool(each.problem) for each in answers)),
        "mixed": float(sum(each.mixed for each in answers if not each.problem)),
        "call_ms": took_s * 1000,
        "switched_s": max((each.asked - called for each in answers if each.version == 2), default=0.0),
        "version_1": float(sum(each.version == 1 for each in answers)),
        "version_2": float(sum(each.version == 2 for each in answers)),
    }
    problem = next((each.problem for each in answers if each.problem), "")
    assert figures["failed"] == figures["mixed"] == 0, (figures, problem)
    assert figures["version_1"] > 0, figures
    assert figures["version_2"] > 0, figures
    assert figures["switched_s"] < PROMISED_S, figures
    return figures


async def _until_all_have(servers: list[Running], version: int) -> None:
    async with aiohttp.ClientSession() as session:
        for server in servers:
            end = time.monotonic() + 30
            while (await _answer(session, server, streamed=False)).version != version:
                assert time.monotonic() < end, f"{server.url} does not go by version {version}"
                await asyncio.sleep(0.1)


async def _asked(servers: list[Running], per_s: int, seconds: float) -> tuple[list[Answer], float, float]:
    """The answers; when the rollback was called, and how long the call took."""
    total = int(per_s * seconds * 2)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        begun = time.monotonic()

        async def one(number: int) -> Answer:
            await asyncio.sleep(max(0.0, begun + number / per_s - time.monotonic()))
            return await _answer(session, servers[number % len(servers)], streamed=number % 16 >= 12)

        async def roll_back() -> tuple[float, float]:
            await asyncio.sleep(max(0.0, begun + seconds - time.monotonic()))
            called = time.monotonic()
            async with session.post(f"{servers[0].url}{REGISTRY}/rollback", json={}, headers=_key(servers[0])) as answer:
                assert answer.status == 200, await answer.text()
            return called, time.monotonic() - called

        calling = asyncio.create_task(roll_back())
        answers = await asyncio.gather(*(one(number) for number in range(total)))
        return list(answers), *await calling


async def _answer(session: aiohttp.ClientSession, server: Running, *, streamed: bool) -> Answer:
    body = {"messages": [{"role": "user", "content": "Say hello"}], "model": "mock", "stream": streamed}
    asked = time.monotonic()
    try:
        async with session.post(f"{server.url}/api/v1/chat", json=body, headers=_key(server)) as response:
            text = await response.read()
            if response.status != 200:
                return Answer(asked, 0, "", f"{response.status}: {text[:300]!r}")
            if not streamed:
                told = response.headers
                return Answer(asked, _number(told.get("x-genai-version")), told.get("x-genai-model", ""))
            usage = _usage(text)
            return Answer(asked, _number(usage.get("version")), str(usage.get("model")), "" if usage else "no whole stream")
    except (aiohttp.ClientError, TimeoutError) as error:
        return Answer(asked, 0, "", f"{type(error).__name__}: {error}")


def _usage(stream: bytes) -> dict[str, Any]:
    """The closing `usage` event of a stream that has come to its end; empty where there is none."""
    blocks = [block.split(b"\n", 1) for block in stream.replace(b"\r\n", b"\n").split(b"\n\n") if block.startswith(b"event: ")]
    events = {name: data.removeprefix(b"data: ") for name, data in blocks}
    return orjson.loads(events[b"event: usage"]) if b"event: done" in events else {}


def _number(label: Any) -> int:
    """A version's number by its label."""
    return int(str(label).partition("-")[0]) if label else 0


def _key(server: Running) -> dict[str, str]:
    return {"authorization": f"Bearer {server.settings['GENAI_ADMIN_KEY']}"}
