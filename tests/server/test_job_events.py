"""The events of a job, for as long as whoever listens may."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import uvicorn

from core.database import Database
from core.jobs import INGESTION, open_job
from core.principals import SYSTEM
from server.routes import jobs, users
from tests.server.conftest import ON_SQLITE, Guarded
from tests.server.people import person

pytestmark = ON_SQLITE


@pytest.mark.parametrize("how", ["key revoked", "user disabled", "signed out", "role without the right"])
async def test_the_events_of_a_job_end_with_the_right_to_them(guarded: Guarded, database: Database, how: str) -> None:
    for module in (jobs, users):
        guarded.app.include_router(module.router)
    user = await person(database, role="admin")
    async with database.transaction("default") as session:
        job = await open_job(session, SYSTEM, INGESTION, total=1, arguments={})
    key = (await ask(guarded, "POST", "/keys", {"name": "x", "role": "admin", "user_id": user.id})).json()
    shown = {"x-api-key": key["key"]}
    if how == "signed out":
        shown = {"cookie": f"genai_session={await guarded.access.sessions.open(user_id=user.id)}"}
    ends: dict[str, tuple[str, str, Any]] = {
        "key revoked": ("DELETE", f"/keys/{key['id']}", None),
        "user disabled": ("PATCH", f"/users/{user.id}", {"disabled": True}),
        "signed out": ("DELETE", f"/users/{user.id}/sessions", None),
        "role without the right": ("PATCH", f"/users/{user.id}", {"role": "bare"}),
    }
    await ask(guarded, "PUT", "/roles/bare", {"scopes": ["chat:invoke"]})
    async with listening(guarded) as client, client.stream("GET", f"/api/v1/jobs/{job.id}/events", headers=shown) as stream:
        pieces = stream.aiter_text()
        told = await anext(pieces)
        assert (await ask(guarded, *ends[how])).is_success
        async for piece in pieces:
            told += piece
    assert "event: error" in told
    assert ("forbidden" if how.startswith("role") else "invalid_key" if "cookie" not in shown else "unauthenticated") in told


@asynccontextmanager
async def listening(guarded: Guarded) -> AsyncIterator[httpx.AsyncClient]:
    """A client that reads an answer while it comes, within seconds."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(guarded.app, log_level="warning", lifespan="off"))
    running = asyncio.create_task(server.serve([listener]))
    try:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with asyncio.timeout(20), httpx.AsyncClient(base_url=address, trust_env=False) as client:
            yield client
    finally:
        server.should_exit = True
        await running


async def ask(guarded: Guarded, method: str, path: str, body: Any = None) -> Any:
    return await guarded.client.request(method, f"/api/v1{path}", json=body, headers=guarded.headers)
