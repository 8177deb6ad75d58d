"""Rights that are taken away: how long each of several processes still gives them, with Redis there and away."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import httpx

from core.settings import Settings
from core.valkey import EmbeddedValkey
from infra.postgresql import database_of_platform, postgresql
from infra.running import Running
from infra.several import several

#: Seconds from the answer that says so within which every process refuses.
PROMISED_S: Final = 1.0
#: What the keys ask for, and the scope that it takes.
_ASKED: Final = "/api/v1/rag/collections"
_SCOPE: Final = "rag:read"
_PATIENCE_S: Final = 20.0


def revoked(place: Path, *, servers: int, rounds: int) -> dict[str, float]:
    """On one PostgreSQL and one Valkey, `rounds` times each: a key is revoked, and the scope of a role is taken away, by a call
    to one process; then the same with Valkey gone. The slowest process' seconds of each.

    Raises:
        AssertionError: a process gave the right for longer than is promised.
    """
    place.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        valkey = EmbeddedValkey(Settings.load(data_dir=place / "valkey"))
        stack.callback(valkey.close)
        settings = {
            "GENAI_DATABASE_URL": database_of_platform(stack.enter_context(postgresql()), "genai"),
            "GENAI_REDIS_URL": valkey.start(),
            "GENAI_JOBS__EMBEDDED_WORKER": "false",
        }
        started = stack.enter_context(several(place, servers, configuration="", **settings))
        clients = [stack.enter_context(server.client(timeout_s=_PATIENCE_S)) for server in started]
        pool = stack.enter_context(ThreadPoolExecutor(servers))
        figures = {"processes": float(servers), "rounds": float(rounds)}
        figures |= _slowest(pool, started, clients, rounds, "")
        valkey.close()
        figures |= _slowest(pool, started, clients, rounds, "_redis_away")
    assert all(seconds < PROMISED_S for name, seconds in figures.items() if name.endswith(("_s", "_away"))), figures
    return figures


def _slowest(
    pool: ThreadPoolExecutor, servers: list[Running], clients: list[httpx.Client], rounds: int, suffix: str
) -> dict[str, float]:
    admin = clients[0]
    key_s = role_s = 0.0
    for number in range(rounds):
        role = f"/api/v1/roles/taken{suffix}-{number}"
        admin.put(role, json={"scopes": [_SCOPE]}).raise_for_status()
        made = {"name": "to be revoked", "role": role.rpartition("/")[2]}
        key, other = (admin.post("/api/v1/keys", json=made).raise_for_status().json() for _ in range(2))

        for client in clients:  # so that each process remembers both
            for each in (key, other):
                client.get(_ASKED, headers={"Authorization": f"Bearer {each['key']}"}).raise_for_status()

        admin.delete(f"/api/v1/keys/{key['id']}").raise_for_status()
        key_s = max(key_s, _refused_after(pool, servers, key["key"], 401))

        admin.put(role, json={"scopes": ["models:read"]}).raise_for_status()
        role_s = max(role_s, _refused_after(pool, servers, other["key"], 403))
    return {f"key{suffix}_s": key_s, f"role{suffix}_s": role_s}


def _refused_after(pool: ThreadPoolExecutor, servers: list[Running], key: str, status: int) -> float:
    """Seconds until the last process has given the right for the last time."""
    begun = time.monotonic()

    def last_given(server: Running) -> float:
        given = begun
        with server.client(key=key) as client:
            while (asked := time.monotonic()) - begun < _PATIENCE_S:
                answer = client.get(_ASKED)
                if answer.status_code == status:
                    return given
                assert answer.status_code == 200, answer.text
                given = asked
                time.sleep(0.01)
        return _PATIENCE_S

    return max(pool.map(last_given, servers)) - begun
