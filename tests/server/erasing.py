"""The whole application, and people of whom everything is kept that there is to keep, each with a canary in it."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from redis import Redis
from sqlalchemy import text

from chains.conversations import Conversations
from core import ledger
from core.database import Database, utc_now
from core.principals import DEFAULT_TENANT
from core.redis_clients import RedisClients
from core.settings import Settings
from core.tables import AlertDelivery, AlertRow
from providers.models import Models
from server.access.access import Access
from server.app import create_app
from server.readiness import Readiness
from server.state import State
from tests.desks import Desk, eventually, opened
from tests.fakes.openai import MODEL, OpenAIFake


@dataclass
class Person:
    """`id` is a user's; `canary` is in all that is theirs, and in nothing else."""

    tenant: str
    id: str
    key: str
    key_id: str
    canary: str
    jobs: list[str] = field(default_factory=list)

    @property
    def headers(self) -> dict[str, str]:
        return {"x-api-key": self.key}


@dataclass
class World:
    """A platform without a worker until `desk.worker()`. `operator` is a key of the default tenant's administrator."""

    desk: Desk
    client: httpx.AsyncClient
    operator: str
    administrators: dict[str, str] = field(default_factory=dict)

    async def ask(self, key: str, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"x-api-key": key, **options.pop("headers", {})}
        return await self.client.request(method, path, headers=headers, **options)

    async def good(self, key: str, method: str, path: str, **options: Any) -> Any:
        answer = await self.ask(key, method, path, **options)
        assert answer.status_code < 300, (method, path, answer.status_code, answer.text)
        return answer.json() if answer.headers.get("content-type", "").startswith("application/json") else answer

    async def tenant(self, name: str) -> str:
        """A new tenant; the key of its administrator."""
        made = await self.good(self.operator, "POST", "/api/v1/tenants", json={"id": name, "name": f"The {name}"})
        self.administrators[name] = made["key"]
        return str(made["key"])

    async def person(self, tenant: str, name: str) -> Person:
        canary = f"zq{name}{secrets.token_hex(4)}"
        admin = self.administrators[tenant]
        user = {"name": canary, "email": f"{canary}@example.test", "role": "developer", "password": "a long enough passphrase"}
        made = await self.good(admin, "POST", "/api/v1/users", json=user)
        key = {"name": canary, "role": "developer", "user_id": made["id"]}
        made_key = await self.good(admin, "POST", "/api/v1/keys", json=key)
        return Person(tenant, made["id"], made_key["key"], made_key["id"], canary)

    async def fill(self, person: Person) -> None:
        """Have one of everything kept of them. A worker runs."""
        key, canary = person.key, person.canary
        said = {"messages": [{"role": "user", "content": f"What is {canary}?"}], "temperature": 0}
        await self.good(
            key, "POST", "/api/v1/chat", json=said | {"session_id": canary}, headers={"x-genai-tags": f"of={canary}"}
        )
        await self.good(key, "POST", "/api/v1/chat", json=said, headers={"idempotency-key": canary})
        await self.good(key, "POST", "/api/v1/rag/collections", json={"name": canary, "description": canary})
        document = {"name": f"{canary}.md", "text": f"# {canary}\n\nThe word is {canary}.", "metadata": {"of": canary}}
        path = f"/api/v1/rag/collections/{canary}/documents"
        person.jobs.append((await self.good(key, "POST", path, json={"documents": [document]}))["job_id"])
        line = {"custom_id": canary, "method": "POST", "url": "/v1/chat/completions", "body": said | {"model": "default"}}
        form = {"files": {"file": (f"{canary}.jsonl", json.dumps(line).encode())}, "data": {"purpose": "batch"}}
        upload = await self.good(key, "POST", "/v1/files", **form)
        batch = {"input_file_id": upload["id"], "endpoint": "/v1/chat/completions", "metadata": {"of": canary}}
        made = await self.good(key, "POST", "/api/v1/batches", json=batch)
        person.jobs.append(made["job_id"])
        person.jobs.append((await self.good(key, "POST", f"/api/v1/users/{person.id}/export"))["id"])
        await self._limit(person)
        tokens = {"grant_type": "client_credentials", "client_id": person.id, "client_secret": key}
        if person.tenant == DEFAULT_TENANT:
            await self.good(key, "POST", "/api/v1/auth/token", data=tokens)
        await self.good(key, "POST", "/api/v1/auth/tokens", json={})
        sign_in = {"email": f"{canary}@example.test", "password": "a long enough passphrase"}
        signed_in = await self.client.post("/signin", data=sign_in, params={"tenant": person.tenant})
        assert signed_in.status_code in (200, 303), signed_in.text
        self.client.cookies.clear()
        for job_id in person.jobs:
            job = await self.finished(key, job_id)
            assert job["state"] == "succeeded", job

    async def _limit(self, person: Person) -> None:
        """What others set for them and their key, with their name in it, and an alert of it."""
        admin, named = self.administrators[person.tenant], {"name": person.canary, "window": "24h"}
        budgets = [
            await self.good(admin, "POST", "/api/v1/budgets", json=named | {"limit_usd": 5, "scope": scope})
            for scope in ({"user": person.id}, {"key": person.key_id})
        ]
        limit = named | {"requests": 500, "scope": {"key": person.key_id}}
        await self.good(admin, "POST", "/api/v1/rate-limits", json=limit)
        for kind, value in (("user", person.id), ("key", person.key_id)):
            rule = {"centre": person.canary, "kind": kind, "value": value}
            await self.good(admin, "POST", "/api/v1/usage/cost-centres", json=rule)
        told = {"kind": "budget_used", "severity": "info", **dict.fromkeys(("first_seen", "last_seen", "told_at"), utc_now())}
        async with self.desk.database.transaction(person.tenant) as session:
            for budget in budgets:
                facts = {"budget": budget["id"], "name": person.canary}
                subject = {"budget": budget["id"]}
                alert = AlertRow(tenant=person.tenant, key=f"{budget['id']}:50%", subject=subject, facts=facts, **told)
                times = dict.fromkeys(("created_at", "next_at"), utc_now())
                body = {"alert": {"facts": facts}}
                session.add(alert)
                session.add(AlertDelivery(tenant=person.tenant, route_id="r", alert_id=alert.id, body=body, **times))

    async def finished(self, key: str, job_id: str) -> dict[str, Any]:
        """The job, once it has ended."""

        async def ended() -> dict[str, Any] | None:
            job: dict[str, Any] = await self.good(key, "GET", f"/api/v1/jobs/{job_id}")
            return job if job["state"] not in ("queued", "running") else None

        found: dict[str, Any] = await eventually(ended)
        return found

    async def places(self) -> dict[str, bytes]:
        """All that is stored, by place."""
        data = Path(self.desk.settings.data_dir)
        return {
            "database": await self._rows(),
            "database files": await asyncio.to_thread(below, data, "genai.db*"),
            "cache": await asyncio.to_thread(valkey_dump, self.desk.redis_url),
            "vectors": below(data / "chroma"),
            "word index": below(data / "lexical"),
            "files": below(data / "files"),
        }

    async def _rows(self) -> bytes:
        dumped = []
        async with self.desk.database.session(all_tenants=True) as session:
            connection = await session.connection()
            names = await connection.run_sync(lambda sync: sync.dialect.get_table_names(sync))
            for name in names:
                rows = (await connection.execute(text(f"SELECT * FROM {name}"))).all()
                dumped += [
                    bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()
                    for row in rows
                    for value in row
                ]
        return b"\n".join(dumped)

    async def where(self, person: Person) -> set[str]:
        """The places that hold the person's canary, or their identifier apart from the record of what was done."""
        return {place for place, dump in (await self.places()).items() if person.canary.encode() in dump}


def below(directory: Path, pattern: str = "**/*") -> bytes:
    return b"".join(file.read_bytes() for file in sorted(directory.glob(pattern)) if file.is_file())


def valkey_dump(url: str) -> bytes:
    """Every key with what it holds."""
    dumped = []
    with Redis.from_url(url) as client:
        for key in client.scan_iter(count=1000):
            kind = client.type(key)
            held: Any = client.get(key) if kind == b"string" else client.execute_command("DUMP", key)
            dumped.append(key + b"=" + (held or b""))
    return b"\n".join(dumped)


@asynccontextmanager
async def world(settings: Settings, database: Database, **more: Any) -> AsyncIterator[World]:
    """What is stored lies open, so that a search finds whatever is left: encryption is off unless `more` says otherwise."""
    url = database.engine.url.render_as_string(hide_password=False).replace("sqlite+aiosqlite", "sqlite")
    with OpenAIFake() as provider:
        configured = Settings.load(
            data_dir=Path(settings.data_dir),
            database_url=url,
            models=[
                {
                    "alias": "default",
                    "deployments": [{"provider": "openai", "model": MODEL}],
                    "cache": {"exact": True, "semantic": True},
                }
            ],
            providers={"openai": {"base_url": provider.base_url, "api_key": "sk-secret"}},
            handbook=False,
            **({"encryption": {"source": "off"}} | more),
        )
        models, ours = Models(configured), Database(configured)
        try:
            async with opened(configured, ours, models) as desk:
                clients = RedisClients(desk.redis_url)
                models.connect(clients, ours.keyring)
                await models.policies.load(ours)
                access = await Access.open(configured, ours)
                operator = await access.keys.ensure_administrator(None)
                assert operator is not None
                state = _state(desk, models, access)
                book = ledger.Ledger(configured, wait_s=30)
                ledger.connect(book)
                transport = httpx.ASGITransport(create_app(state), raise_app_exceptions=False)
                async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                    yield World(desk, client, operator, {DEFAULT_TENANT: operator})
                ledger.connect(None)
                await asyncio.to_thread(book.close)
                state.analyser.close()
                await clients.close()
        finally:
            await models.close()
            await ours.close()


def _state(desk: Desk, models: Models, access: Access) -> State:
    readiness = Readiness()
    for part in ("application", "database", "broker", "store", "models"):
        readiness.done(part)
    return State(
        settings=desk.settings,
        readiness=readiness,
        database=desk.database,
        redis_url=desk.redis_url,
        queue=desk.queue,
        access=access,
        models=models,
        library=desk.library,
        conversations=Conversations(desk.database),
    )
