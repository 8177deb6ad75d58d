"""Erasing a user and a tenant: nothing of theirs is left anywhere, everything of the others is, and the record stays whole."""

import asyncio
import io
import json
import zipfile
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlmodel import update

from core.audit.verification import verify_all
from core.database import Database, blocking_engine, utc_now
from core.errors import DecryptionFailed
from core.keys import Hasher, load_secret
from core.ledger.rollups import roll_up
from core.settings import Settings
from core.tables import Conversation, DataRequest
from tests.desks import eventually
from tests.server.conftest import ON_SQLITE
from tests.server.erasing import Person, World, world

EVERYWHERE = {"database", "cache", "vectors", "files"}


async def three(place: World) -> tuple[Person, Person, Person]:
    """Two of one tenant, and one of another, of each of whom there is everything."""
    for name in ("acme", "globex"):
        await place.tenant(name)
    people = [await place.person("acme", "anna"), await place.person("acme", "bert"), await place.person("globex", "carl")]
    for person in people:
        await place.fill(person)
    anna, bert, carl = people
    return anna, bert, carl


def chains(settings: Settings) -> dict[str, Any]:
    engine = blocking_engine(settings)
    try:
        with engine.connect() as connection:
            return {one.tenant: one.broken for one in verify_all(connection, Hasher(load_secret(settings)))}
    finally:
        engine.dispose()


def counted(job: dict[str, Any]) -> dict[tuple[str, str], int]:
    return {(one["kind"], one["place"]): one["count"] for one in job["result"]["found"]}


async def test_of_who_is_erased_nothing_is_left_and_of_the_others_everything_is(settings: Settings, database: Database) -> None:
    async with world(settings, database) as place:
        with place.desk.worker():
            anna, bert, carl = await three(place)
            for person in (anna, bert, carl):
                assert await place.where(person) >= EVERYWHERE, "what is looked for was there"
            admin = place.administrators["acme"]
            await roll_up(place.desk.database)
            spent = await place.good(admin, "GET", "/api/v1/usage", params={"group_by": "principal"})
            before = {line["principal"]: line["requests"] for line in spent["results"]}
            assert before[anna.id] >= 3
            asked = await place.good(admin, "DELETE", f"/api/v1/users/{anna.id}")
            job = await place.finished(admin, asked["id"])
            assert job["state"] == "succeeded"
            found = counted(job)
            expected = {
                ("users", "database"): 1,
                ("api_keys", "database"): 1,
                ("conversations", "database"): 1,
                ("conversation_messages", "database"): 2,
                ("collections", "database"): 1,
                ("documents", "database"): 1,
                ("documents", "files"): 3,
                ("documents", "vectors"): 1,
                ("documents", "word_index"): 1,
                ("batches", "database"): 1,
                ("stored_files", "files"): 2,
                ("exports", "files"): 1,
                ("idempotency_records", "database"): 1,
                ("browser_sessions", "database"): 1,
                ("token_families", "database"): 1,
                ("refresh_tokens", "database"): 1,
                ("jobs", "database"): 3,
            }
            assert {what: found.get(what) for what in expected} == expected
            assert found["ledger", "database"] >= 1
            limits = {kind: found.get((kind, "database")) for kind in ("budgets", "rate_limits", "cost_centre_rules")}
            assert limits == {"budgets": 2, "rate_limits": 1, "cost_centre_rules": 2}
            assert (found["alerts", "database"], found["alert_deliveries", "database"]) == (2, 2)
            assert await place.where(anna) == set()
            spent = await place.good(admin, "GET", "/api/v1/usage", params={"group_by": "principal"})
            assert {line["principal"]: line["requests"] for line in spent["results"]} == before
            indexes = place.desk.settings.path("lexical", "v1").iterdir()  # they are compressed, with a lock beside each
            assert sum(path.is_dir() for path in indexes) == 2
            assert await place.where(bert) >= EVERYWHERE - {"cache"}  # of a tenant all cached answers go
            assert await place.where(carl) >= EVERYWHERE
            assert (await place.ask(anna.key, "GET", "/api/v1/auth/me")).status_code == 401
            assert (await place.ask(admin, "GET", f"/api/v1/users/{anna.id}")).status_code == 404
            search = f"/api/v1/rag/collections/{bert.canary}/search"
            answered = await place.good(bert.key, "POST", search, json={"query": "word"})
            assert bert.canary in answered["results"][0]["text"]
            # and a tenant
            asked = await place.good(place.operator, "DELETE", "/api/v1/tenants/globex")
            job = await place.finished(place.operator, asked["id"])
            assert job["state"] == "succeeded"
            assert await place.where(carl) == set()
            assert b"The globex" not in b"".join((await place.places()).values())
            assert await place.where(bert) >= EVERYWHERE - {"cache"}
            assert (await place.ask(carl.key, "GET", "/api/v1/auth/me")).status_code == 401
            again = await place.ask(place.operator, "POST", "/api/v1/tenants", json={"id": "globex", "name": "x"})
            assert (again.status_code, again.json()["error"]["code"]) == (409, "already_exists")
        broken = await asyncio.to_thread(chains, place.desk.settings)
        assert broken.keys() >= {"default", "acme", "globex"}
        assert set(broken.values()) == {None}


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


@ON_SQLITE
async def test_what_somebody_shares_with_others_is_handed_over_or_dropped_as_the_caller_says(
    settings: Settings, database: Database
) -> None:
    async with world(settings, database) as place:
        admin = await place.tenant("acme")
        await place.tenant("globex")
        anna, bert, carl = [await place.person("acme", name) for name in ("anna", "bert", "carl")]
        stranger = await place.person("globex", "dora")
        everybody = {"shares": [{"kind": "tenant", "access": "read"}]}
        for person in (anna, bert):
            for name, body in (("own", {}), ("shared", everybody)):
                await place.good(person.key, "POST", "/api/v1/rag/collections", json={"name": f"{name}-{person.canary}"} | body)
        assert code(await place.ask(admin, "DELETE", f"/api/v1/users/{anna.id}")) == (409, "shared_collections")
        assert (await place.ask(anna.key, "GET", "/api/v1/auth/me")).status_code == 200
        for heir in (stranger.id, anna.id, "usr_nobody"):
            refused = await place.ask(admin, "DELETE", f"/api/v1/users/{anna.id}", params={"hand_over_to": heir})
            assert code(refused) == (422, "user_not_found")
        first = await place.good(admin, "DELETE", f"/api/v1/users/{anna.id}", params={"hand_over_to": carl.id})
        assert (await place.ask(anna.key, "GET", "/api/v1/auth/me")).status_code == 401
        again = await place.good(admin, "DELETE", f"/api/v1/users/{anna.id}")
        assert again["id"] == first["id"]
        assert code(await place.ask(admin, "PATCH", f"/api/v1/users/{anna.id}", json={"disabled": False})) == (
            409,
            "being_erased",
        )
        second = await place.good(admin, "DELETE", f"/api/v1/users/{bert.id}", params={"shared": "delete"})
        with place.desk.worker():
            found = [counted(await place.finished(admin, job["id"])) for job in (first, second)]
        assert found[0]["collections", "handed_over"] == found[0]["collections", "database"] == 1
        assert found[1]["collections", "database"] == 2
        left = (await place.good(carl.key, "GET", "/api/v1/rag/collections"))["results"]
        assert [one["name"] for one in left] == [f"shared-{anna.canary}"]
        assert (await place.ask(carl.key, "DELETE", f"/api/v1/rag/collections/shared-{anna.canary}")).status_code == 204


@ON_SQLITE
async def test_what_is_handed_over_cannot_be_dropped_as_well(settings: Settings, database: Database) -> None:
    async with world(settings, database) as place:
        admin = await place.tenant("acme")
        anna, bert = [await place.person("acme", name) for name in ("anna", "bert")]
        both = {"hand_over_to": bert.id, "shared": "delete"}
        assert code(await place.ask(admin, "DELETE", f"/api/v1/users/{anna.id}", params=both)) == (422, "invalid_request")
        assert (await place.ask(anna.key, "GET", "/api/v1/auth/me")).status_code == 200


@ON_SQLITE
async def test_nobody_erases_themselves_their_betters_or_another_tenants(settings: Settings, database: Database) -> None:
    async with world(settings, database) as place:
        admin, other = await place.tenant("acme"), await place.tenant("globex")
        anna = await place.person("acme", "anna")
        new = {"name": "boss", "role": "admin", "user_id": None}
        boss = await place.good(admin, "POST", "/api/v1/users", json={"name": "boss", "role": "admin"})
        key = (await place.good(admin, "POST", "/api/v1/keys", json=new | {"user_id": boss["id"]}))["key"]
        few = (await place.good(admin, "POST", "/api/v1/keys", json=new | {"scopes": ["users:manage"]}))["key"]
        assert code(await place.ask(key, "DELETE", f"/api/v1/users/{boss['id']}")) == (409, "own_account")
        assert code(await place.ask(few, "DELETE", f"/api/v1/users/{boss['id']}")) == (403, "more_than_own")
        assert code(await place.ask(few, "POST", f"/api/v1/users/{boss['id']}/export")) == (403, "more_than_own")
        assert code(await place.ask(other, "DELETE", f"/api/v1/users/{anna.id}")) == (404, "user_not_found")
        assert code(await place.ask(anna.key, "DELETE", f"/api/v1/users/{boss['id']}")) == (403, "forbidden")
        assert code(await place.ask(admin, "DELETE", "/api/v1/tenants/globex")) == (403, "forbidden")
        assert code(await place.ask(place.operator, "DELETE", "/api/v1/tenants/default")) == (409, "own_tenant")
        assert code(await place.ask(place.operator, "DELETE", "/api/v1/tenants/nobody")) == (404, "tenant_not_found")
        await place.good(place.operator, "DELETE", "/api/v1/tenants/globex")
        reopened = await place.ask(place.operator, "PATCH", "/api/v1/tenants/globex", json={"disabled": False})
        assert code(reopened) == (409, "being_erased")


async def test_what_a_request_writes_after_its_owner_is_gone_goes_at_the_second_look(
    settings: Settings, database: Database
) -> None:
    async with world(settings, database) as place:
        admin = await place.tenant("acme")
        anna = await place.person("acme", "anna")
        asked = await place.good(admin, "DELETE", f"/api/v1/users/{anna.id}")
        with place.desk.worker():
            await place.finished(admin, asked["id"])
            async with place.desk.database.transaction(all_tenants=True) as session:
                session.add(Conversation(tenant="acme", owner=anna.id, name=anna.canary))
                await session.exec(update(DataRequest).values(settle_at=utc_now() - timedelta(seconds=1)))

            async def gone() -> bool:
                return await place.where(anna) == set()

            await eventually(gone)

            async def told() -> bool:
                return ("conversations", "database") in counted(await place.finished(admin, asked["id"]))

            await eventually(told)


@ON_SQLITE
async def test_without_its_keys_a_backup_of_an_erased_tenant_cannot_be_read(settings: Settings, database: Database) -> None:
    async with world(settings, database, encryption={"source": "file"}) as place:
        await place.tenant("acme")
        anna = await place.person("acme", "anna")
        keyring = place.desk.database.keyring
        body = {"messages": [{"role": "user", "content": f"I am {anna.canary}"}], "session_id": "s"}
        await place.good(anna.key, "POST", "/api/v1/chat", json=body)
        key = await asyncio.to_thread(keyring.current, "acme")
        assert key is not None
        assert (await asyncio.to_thread(keyring.find, key.id)).secret == key.secret
        asked = await place.good(place.operator, "DELETE", "/api/v1/tenants/acme")
        with place.desk.worker():
            found = counted(await place.finished(place.operator, asked["id"]))
        assert found["data_keys", "database"] == 1
        await place.desk.resources.models.policies.load(place.desk.database)  # as each process does, since a right was taken
        for each in (keyring, place.desk.resources.keyring, Database(place.desk.settings).keyring):
            with pytest.raises(DecryptionFailed):
                await asyncio.to_thread(each.find, key.id)


async def fetched(place: World, key: str, user: str, export: str) -> httpx.Response:
    return await place.ask(key, "GET", f"/api/v1/users/{user}/exports/{export}")


async def test_an_export_holds_all_of_somebodys_data_and_nobody_elses(settings: Settings, database: Database) -> None:
    async with world(settings, database, encryption={"source": "file"}) as place:
        with place.desk.worker():
            anna, bert, carl = await three(place)
            admin = place.administrators["acme"]
            job = await place.finished(anna.key, (await place.good(anna.key, "POST", "/api/v1/users/me/export"))["id"])
            export = job["result"]["export"]
            answer = await fetched(place, anna.key, "me", export)
            assert answer.headers["content-type"] == "application/zip"
            with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
                parts = {name: archive.read(name) for name in archive.namelist()}
            manifest = json.loads(parts["manifest.json"])
            least = {"profile": 1, "keys": 1, "conversations": 1, "messages": 2, "collections": 1, "documents": 1, "files": 2}
            least |= {
                "budgets": 2,
                "rate_limits": 1,
                "cost_centre_rules": 2,
                "batches": 1,
                "jobs": 4,
                "kept_answers": 1,
                "browser_sessions": 1,
                "token_families": 1,
            }
            assert {name: manifest["counts"][name] for name in least} == least
            assert manifest["counts"]["usage"] >= 3
            said = ("usage.jsonl", "budgets.jsonl", "profile.jsonl", "messages.jsonl", "documents.jsonl", "batches.jsonl")
            assert [name for name in said if anna.canary.encode() not in parts[name]] == []
            assert b"Hello from the other side" in parts["kept_answers.jsonl"]
            for where in ("documents/", "files/"):
                contents = [content for name, content in parts.items() if name.startswith(where)]
                assert len(contents) == 2
                assert all(
                    anna.canary.encode() in content for content in contents if b"custom_id" in content or where[0] == "d"
                )
            whole = b"".join(parts.values())
            assert bert.canary.encode() not in whole
            assert carl.canary.encode() not in whole
            assert b"password_digest" not in whole
            # another's is never there, nor for them, nor a while later
            listed = (await place.good(anna.key, "GET", "/api/v1/users/me/exports"))["results"]
            assert export in [one["id"] for one in listed]
            assert code(await fetched(place, bert.key, anna.id, export)) == (403, "forbidden")
            assert code(await fetched(place, bert.key, "me", export)) == (404, "export_not_found")
            assert code(await fetched(place, carl.key, anna.id, export)) == (403, "forbidden")
            assert code(await fetched(place, place.administrators["globex"], anna.id, export)) == (404, "user_not_found")
            assert (await fetched(place, admin, anna.id, export)).status_code == 200
            narrow = {"name": "narrow", "role": "developer", "user_id": anna.id, "scopes": ["chat:invoke"]}
            few = (await place.good(admin, "POST", "/api/v1/keys", json=narrow))["key"]
            assert code(await fetched(place, few, "me", export)) == (403, "more_than_own")
            assert code(await place.ask(few, "POST", "/api/v1/users/me/export")) == (403, "more_than_own")
            async with place.desk.database.transaction(all_tenants=True) as session:
                await session.exec(update(DataRequest).values(expires_at=utc_now() - timedelta(seconds=1)))
            assert code(await fetched(place, anna.key, "me", export)) == (404, "export_not_found")
