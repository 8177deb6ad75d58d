"""The ways to every capability for a caller who does not ask for a stream, and what they give of an answer."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from langchain_core.messages import AIMessage
from langserve import RemoteRunnable

from chains import CHAINS
from chains.conversations import Conversations
from chains.endpoints import answering
from chains.root import OpaqueRoot
from chains.spec import ChainDeps, ChainSpec
from core.database import Database
from core.queue import Queue
from core.settings import Settings
from core.tables import Collection
from providers.models import Models
from retrievers.library import Library, open_resources
from server.langserve_routes import register
from server.openai_door.routes import open_door
from tests.chains.asking import LEAVE, add
from tests.server.serving import platform

#: Those that ask no model.
WITHOUT_MODEL = frozenset({"pii"})
NAMES = tuple(name for name in CHAINS if name not in WITHOUT_MODEL)


@dataclass(frozen=True)
class House:
    """All capabilities behind all doors, in this process."""

    deps: ChainDeps
    models: Models
    roots: Mapping[str, OpaqueRoot]
    client: httpx.AsyncClient
    transport: httpx.ASGITransport

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        answer = await self.client.post(path, json=body)
        assert answer.status_code == 200, f"{path}: {answer.text}"
        return answer.json()

    def heal(self) -> None:
        """Forget what earlier calls have shown of the deployments."""
        for served in self.models.chat("default").deployments:  # type: ignore[attr-defined] # ours
            served.standing.breaker.close()
            served.standing.held_until = 0.0
            served.standing.token_s.value = served.standing.first_token_s.value = None


@asynccontextmanager
async def house(settings: Settings, database: Database) -> AsyncIterator[House]:
    """With a collection `handbook` in which one document is."""
    models = Models(settings)
    await models.warm(local=False)
    resources = open_resources(settings, models, database.keyring)
    library = Library.build(settings, database, resources, Queue(f"unix://{settings.path('no.socket')}"))
    collection = Collection(name="handbook")
    async with database.transaction(all_tenants=True) as session:
        session.add(collection)
    await add(library, collection, "leave.md", LEAVE)
    deps = ChainDeps(settings=settings, models=models, library=library, conversations=Conversations(database))
    app = platform(settings, models=models, database=database, library=library)
    specs: dict[str, ChainSpec] = {name: CHAINS.load(name) for name in CHAINS}
    capabilities = {name: (spec, spec.build(deps)) for name, spec in specs.items()}
    register(app, capabilities)
    open_door(app, capabilities["chat"][1], capabilities["completion"][1], models)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test", timeout=60) as client:
        yield House(deps, models, {name: root for name, (_, root) in capabilities.items()}, client, transport)
    await models.close()
    resources.close()


def example(name: str) -> dict[str, Any]:
    """The input with which the capability works on any installation."""
    spec: ChainSpec = CHAINS.load(name)
    asked = {"question": "How many days of paid annual leave do I have?"} if name == "rag" else {}
    return spec.example | asked


async def by_rest(house: House, name: str) -> list[Any]:
    return [(await house.post(f"/api/v1/{name}", example(name)))["output"]]


async def by_invoke(house: House, name: str) -> list[Any]:
    return [_output((await house.post(f"/api/v1/{name}/invoke", {"input": example(name)}))["output"])]


async def by_batch(house: House, name: str) -> list[Any]:
    answer = await house.post(f"/api/v1/{name}/batch", {"inputs": [example(name)] * 2})
    return [_output(each) for each in answer["output"]]


async def by_remote_runnable(house: House, name: str) -> list[Any]:
    remote: Any = RemoteRunnable(f"http://test/api/v1/{name}", timeout=60)
    remote.async_client = httpx.AsyncClient(transport=house.transport, base_url=remote.url)
    async with remote.async_client:
        return [_output(await remote.ainvoke(example(name)))]


async def by_row_of_a_batch(house: House, name: str) -> list[Any]:
    return [(await answering(f"/api/v1/{name}", house.deps)(example(name)))["output"]]


_OPENAI = {"chat": "/v1/chat/completions", "completion": "/v1/completions"}


async def by_openai(house: House, name: str) -> list[Any]:
    if name not in _OPENAI:
        return []
    answer = await house.post(_OPENAI[name], example(name) | {"n": 2})
    return [_said(choice) for choice in answer["choices"]]


async def by_row_of_openai(house: House, name: str) -> list[Any]:
    if name not in _OPENAI:
        return []
    answer = await answering(_OPENAI[name], house.deps)(dict(example(name)))
    return [_said(choice) for choice in answer["choices"]]


def _output(given: Any) -> Any:
    """The answer without what it took."""
    if isinstance(given, AIMessage):
        return given.text
    if isinstance(given, dict):
        return given["output"] if "output" in given else given["content"]
    return given


def _said(choice: Mapping[str, Any]) -> Any:
    return choice["message"]["content"] if "message" in choice else choice["text"]


Way = Callable[[House, str], Awaitable[list[Any]]]
WAYS: tuple[Way, ...] = (
    by_rest,
    by_invoke,
    by_batch,
    by_remote_runnable,
    by_row_of_a_batch,
    by_openai,
    by_row_of_openai,
)
