from dataclasses import replace
from typing import Any

import httpx

from chains.conversations import Conversations
from chains.messages import Assistant, ToolCall, User
from core.database import Database
from core.principals import Principal, Scope
from core.settings import Settings
from server.routes.sessions import router
from tests.server.serving import EVERYBODY, platform


def client(settings: Settings, database: Database, principal: Principal = EVERYBODY) -> httpx.AsyncClient:
    app = platform(settings, principal=principal, conversations=Conversations(database))
    app.include_router(router)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test/api/v1")


async def test_a_session_is_listed_read_and_deleted(settings: Settings, database: Database) -> None:
    kept = Conversations(database)
    call = ToolCall(id="1", name="f", args={"a": 1})
    await kept.append(EVERYBODY, "trip:1", [User(content="hello"), Assistant(content="hi", tool_calls=[call])])
    async with client(settings, database) as ask:
        listed = (await ask.get("/sessions")).json()
        assert [session["session_id"] for session in listed["results"]] == ["trip:1"]
        assert listed["next_cursor"] is None
        read = (await ask.get("/sessions/trip:1")).json()
        assert [(message["role"], message["content"]) for message in read["messages"]] == [
            ("user", "hello"),
            ("assistant", "hi"),
        ]
        assert read["messages"][1]["tool_calls"] == [{"id": "1", "name": "f", "args": {"a": 1}, "arguments": None}]
        assert (await ask.delete("/sessions/trip:1")).status_code == 204
        gone = await ask.get("/sessions/trip:1")
        assert (gone.status_code, gone.json()["error"]["code"]) == (404, "session_not_found")


async def test_sessions_and_their_messages_page_by_cursor(settings: Settings, database: Database) -> None:
    kept = Conversations(database)
    for number in range(3):
        await kept.append(EVERYBODY, f"s{number}", [User(content=str(index)) for index in range(3)])

    async def every(ask: httpx.AsyncClient, path: str, rows: str) -> list[Any]:
        seen: list[Any] = []
        cursor: dict[str, str] = {}
        while True:
            answer = (await ask.get(path, params={"limit": "2", **cursor})).json()
            seen += answer[rows]
            if answer["next_cursor"] is None:
                return seen
            cursor = {"cursor": answer["next_cursor"]}

    async with client(settings, database) as ask:
        assert [row["session_id"] for row in await every(ask, "/sessions", "results")] == ["s2", "s1", "s0"]
        assert [row["content"] for row in await every(ask, "/sessions/s0", "messages")] == ["0", "1", "2"]


async def test_another_key_or_one_without_the_scope_sees_none_of_it(settings: Settings, database: Database) -> None:
    await Conversations(database).append(EVERYBODY, "s", [User(content="secret")])
    async with client(settings, database, replace(EVERYBODY, id="key_other")) as ask:
        assert (await ask.get("/sessions/s")).status_code == 404
        assert (await ask.delete("/sessions/s")).status_code == 404
        assert (await ask.get("/sessions")).json()["results"] == []
    async with client(settings, database, replace(EVERYBODY, scopes=frozenset({Scope.RAG_READ}))) as ask:
        assert [(await ask.get(path)).status_code for path in ("/sessions", "/sessions/s")] == [403, 403]
