"""The platform with two providers at the wire and all that administrators switch at run time; a second process beside it."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx

from chains.conversations import Conversations
from core.database import Database
from core.redis_clients import RedisClients
from core.settings import Settings
from core.tables import Tenant
from providers.models import Models
from providers.registry.seeding import seed
from server.langserve_routes import register
from server.openai_door.routes import open_door
from server.readiness import Readiness
from server.routes import budgets, health, kill_switches, prompts, provider_credentials, rate_limits, registry, usage
from server.routes import models as model_routes
from server.routes.admin import providers as page
from tests.fakes.openai import MODEL, OpenAIFake
from tests.server.capabilities import built
from tests.server.serving import platform, served

SMALL = "text-embedding-3-small"
MODULES = (budgets, rate_limits, usage, kill_switches, provider_credentials, registry, prompts, model_routes, health, page)


@dataclass
class Here:
    """The platform, and two providers; `first` is called before `second`. `elsewhere` is another process' client."""

    client: httpx.Client
    elsewhere: httpx.Client
    first: OpenAIFake
    second: OpenAIFake
    database: Database

    def chat(self, *, tenant: str = "default", client: httpx.Client | None = None, **more: Any) -> httpx.Response:
        body = {"messages": [{"role": "user", "content": "Hello"}], **more}
        return (client or self.client).post("/api/v1/chat", json=body, headers={"x-tenant": tenant})

    def call(self, method: str, path: str, *, tenant: str = "default", **options: Any) -> httpx.Response:
        return self.client.request(method, path, headers={"x-tenant": tenant}, **options)

    def clear(self) -> None:
        """Nothing is switched off, no credential is kept, both providers answer."""
        for tenant in ("default", "acme", "globex"):
            for each in self.call("GET", "/api/v1/kill-switches", tenant=tenant).json()["results"]:
                path = f"/api/v1/kill-switches/{each['kind']}/{each['name']}"
                self.call("DELETE", path, tenant=tenant, params={"everywhere": str(each["everywhere"]).lower()})
            for each in self.call("GET", "/api/v1/provider-credentials", tenant=tenant).json()["results"]:
                self.call("DELETE", f"/api/v1/provider-credentials/{each['id']}", tenant=tenant)
        self.first.clear()
        self.second.clear()


@contextmanager
def switchable(directory: Path, redis_url: str, with_schema: Callable[[Settings], Settings]) -> Iterator[Here]:
    with OpenAIFake() as first, OpenAIFake() as second:
        here = {"provider": "openai", "model": MODEL}
        there = {"provider": "openai_compatible:there", "model": "llama", "prefill": True}
        settings = Settings.load(
            data_dir=directory,
            models=[
                {"alias": "default", "deployments": [here, there]},
                {"alias": "kept", "deployments": [here, there], "cache": {"exact": True, "requests": "all"}},
                {"alias": "only", "deployments": [here]},
                {"alias": "bare", "deployments": [{"provider": "openai_compatible:bare", "model": "llama"}]},
                {"alias": "embeddings", "kind": "embeddings", "deployments": [{"provider": "openai", "model": SMALL}]},
            ],
            providers={
                "openai": {"base_url": first.base_url, "api_key": "sk-configured"},
                "openai_compatible:there": {"base_url": second.base_url},
                "openai_compatible:bare": {"base_url": second.base_url, "credentials": "run_time"},
            },
            timeouts={"first_token": 30, "between_tokens": 30, "total": 60},
        )
        with_schema(settings)
        with process(settings, redis_url) as (client, database), process(settings, redis_url) as (elsewhere, _):
            yield Here(client, elsewhere, first, second, database)


@contextmanager
def process(settings: Settings, redis_url: str, modules: Sequence[Any] = MODULES) -> Iterator[tuple[httpx.Client, Database]]:
    """The platform as one process has it: memory of its own, which a watcher keeps up to date. `modules` have the routes that
    stand beside the capabilities."""
    database, models, readiness = Database(settings), Models(settings), Readiness()
    models.connect(RedisClients(redis_url))
    for part in list(readiness.waiting):
        readiness.done(part)
    conversations, missing = Conversations(database), cast("Any", None)
    app = platform(settings, models=models, database=database, readiness=readiness, queue=missing, library=missing)
    capabilities = built(settings, cast("Any", models), conversations, only=("chat", "completion"))
    register(app, capabilities)
    open_door(app, capabilities["chat"][1], capabilities["completion"][1], models)
    for module in modules:
        app.include_router(module.router)
    with served(app) as url, httpx.Client(base_url=url, timeout=60) as client, _watching(settings, models):
        yield client, database
    asyncio.run(models.close())


@contextmanager
def _watching(settings: Settings, models: Models) -> Iterator[None]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    database = Database(settings)
    asyncio.run_coroutine_threadsafe(_tenants(database), loop).result(60)
    asyncio.run_coroutine_threadsafe(seed(database, settings.aliases), loop).result(60)
    asyncio.run_coroutine_threadsafe(models.changes.load(database), loop).result(60)
    task = asyncio.run_coroutine_threadsafe(models.changes.run(database), loop)
    try:
        yield
    finally:
        task.cancel()
        asyncio.run_coroutine_threadsafe(database.close(), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(60)


async def _tenants(database: Database) -> None:
    async with database.transaction(all_tenants=True) as session:
        for name in ("acme", "globex"):
            if await session.get(Tenant, name) is None:
                session.add(Tenant(id=name, name=name))


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def until(condition: Callable[[], bool]) -> None:
    """Wait for what another thread or process brings about."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)


def events(lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
    """The events of a stream as they come."""
    name = ""
    for line in lines:
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))
