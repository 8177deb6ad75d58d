"""No byte of another's, and no write: every route of the application, for everybody who has no right, with every id swapped.

The matrix is generated from the application's routes, so that a new route joins by itself. It is held against what the owner
sees, so that it cannot pass by asking for nothing.

Everybody asks every route on both databases. Longer walks are on SQLite alone, where nothing stands behind the platform's own
scopes: on PostgreSQL row-level security does.
"""

import itertools
import json
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from core.database import Database
from core.principals import Scope
from core.settings import Settings
from server.declared import Declared, declared_routes
from tests.server.conftest import ON_SQLITE
from tests.server.tenants import CANARY, COLLECTION, LEADS, SESSION, Tenants, two_tenants

#: Names of path parameters and body fields that take an identifier, and whose it is.
ALIASES = {
    "name": "collection",
    "input_file_id": "file_id",
    "id": "user_id",
    "subject": "user_id",
    "tenant_id": "tenant",
    "document": "document_id",
    "member": "user_id",
    "role_name": "role",
    "user": "user_id",
    "team": "team_id",
    "job": "job_id",
    "batch": "batch_id",
    "a": "run_id",
    "b": "run_id",
    "baseline": "run_id",
    "dataset": "dataset_id",
    "suite": "suite_name",
    "key": "key_id",
}
#: What a field that is called `id` may name.
ANYTHING = ("user_id", "team_id", "role", "key_id")
#: Path parameters that name nobody's thing.
PLAIN = {"month": "2026-01", "model": "default", "file": "index.html"}
#: How many alternatives of a schema are tried: all of four beside all of three.
VARIANTS = 12
#: Identifiers that nobody can guess: an answer which has one that it was not asked for has read it from a row of theirs.
UNGUESSABLE = (
    "document_id", "job_id", "batch_id", "file_id", "key_id", "budget_id", "rate_limit_id", "alert_id", "alert_route_id",
    "rule_id", "invoice_id", "anomaly_id", "source_id", "generation_id", "snapshot_id", "dataset_id", "run_id",
    "experiment_id",
)  # fmt: skip
#: What the owner of everything sees the canary in, at least.
SHOWN_TO_THE_OWNER = {
    "/api/v1/rag/collections",
    "/api/v1/rag/collections/{name}",
    "/api/v1/rag/collections/{name}/documents",
    "/api/v1/rag/collections/{name}/documents/{document_id}",
    "/api/v1/rag/collections/{name}/documents/{document_id}/text",
    "/api/v1/rag/collections/{name}/documents/{document_id}/place",
    "/api/v1/rag/collections/{name}/documents/{document_id}/original",
    "/api/v1/rag/collections/{name}/sources",
    "/api/v1/rag/collections/{name}/sources/{source_id}",
    "/api/v1/rag/collections/{name}/dead-letters",
    "/api/v1/rag/dead-letters",
    "/api/v1/rag/collections/{name}/search",
    "/api/v1/rag",
    "/api/v1/rag/invoke",
    "/api/v1/jobs",
    "/api/v1/jobs/{job_id}",
    "/api/v1/jobs/{job_id}/events",
    "/api/v1/sessions/{session_id}",
    "/api/v1/batches",
    "/api/v1/batches/{batch_id}",
    "/api/v1/batches/{batch_id}/results",
    "/api/v1/evals/datasets",
    "/api/v1/evals/datasets/{dataset_id}",
    "/api/v1/evals/datasets/{dataset_id}/examples",
    "/api/v1/evals/datasets/{dataset_id}/export",
    "/api/v1/evals/suites",
    "/api/v1/evals/suites/{suite_name}",
    "/api/v1/evals/runs",
    "/api/v1/evals/runs/{run_id}",
    "/api/v1/evals/runs/{run_id}/results",
    "/api/v1/keys",
    "/api/v1/keys/{key_id}",
    "/api/v1/users/{user_id}/exports/{export_id}",
    "/api/v1/rag/snapshots/{snapshot_id}",
    "/api/v1/provider-credentials",
    "/api/v1/provider-credentials/{credential_id}",
    "/api/v1/kill-switches",
    "/api/v1/budgets",
    "/api/v1/rate-limits",
    "/api/v1/alerts",
    "/api/v1/alerts/{alert_id}",
    "/api/v1/alert-routes",
    "/api/v1/alert-routes/{alert_route_id}",
    "/api/v1/alert-routes/{alert_route_id}/notices",
    "/api/v1/feedback",
    "/api/v1/usage/cost-centres",
    "/api/v1/usage/entries",
    "/api/v1/usage/adjustments",
    "/api/v1/usage/invoices",
    "/api/v1/usage/invoices/{invoice_id}",
    "/api/v1/usage/invoices/{invoice_id}/differences",
    "/documents",
    "/documents/{name}",
    "/documents/{name}/{document_id}",
    "/v1/files",
    "/v1/files/{file_id}",
    "/v1/files/{file_id}/content",
    "/v1/batches",
    "/v1/batches/{batch_id}",
    "/evals",
    "/evals/runs/{run_id}",
    "/experiments",
    "/experiments/{experiment}",
    "/admin/users",
    "/admin/users/{user_id}",
    "/admin/teams",
    "/admin/teams/{team_id}",
    "/admin/roles",
    "/admin/roles/{role}",
    "/admin/keys",
    "/admin/keys/{key_id}",
}

#: What the other tenant may do with something of its own, so that whatever the body names is looked at.
WITH_AN_ADDRESS_OF_ONES_OWN = {
    "/api/v1/rag/collections/{name}",
    "/api/v1/rag/collections/{name}/documents",
    "/api/v1/rag/collections/{name}/search",
    "/api/v1/rag/collections/{name}/shares",
    "/api/v1/teams/{team_id}/members",
    "/api/v1/users/{user_id}",
    "/api/v1/keys",
    "/api/v1/sessions/{session_id}",
    "/api/v1/rag",
    "/v1/batches",
    "/v1/files/{file_id}/content",
    "/documents/{name}",
    "/documents/{name}/{document_id}",
}


@pytest.fixture
async def tenants(settings: Settings, database: Database) -> AsyncIterator[Tenants]:
    async with two_tenants(settings, database) as ready:
        yield ready


def paths(path: str, *choice_of_ids: dict[str, str]) -> Iterator[str]:
    """The path with identifiers in it, of each parameter in turn those that the choices have for it. A parameter of an unknown
    name gets every one of them."""
    names = re.findall(r"{([^}]+)}", path)
    choices = []
    for name in names:
        known = [PLAIN.get(name) or ids.get(ALIASES.get(name, name)) for ids in choice_of_ids]
        every = {each for ids in choice_of_ids for each in ids.values()}
        choices.append(sorted(set(filter(None, known)) or every))
    for values in itertools.product(*choices):
        filled = path
        for name, value in zip(names, values, strict=True):
            filled = filled.replace(f"{{{name}}}", value)
        yield filled


class Bodies:
    """Bodies made from the OpenAPI document, with their identifiers wherever a field takes one, nested ones included.

    Of what can be one thing or another, `variant` tells which one is taken.
    """

    def __init__(self, document: dict[str, Any], ids: dict[str, str], variant: int = 0) -> None:
        self._document, self._ids, self._variant = document, ids, variant

    def of(self, route: Declared) -> Any:
        described = route.path.replace("/stream_log", "/stream")  # takes the same, and is hidden
        operation = self._document["paths"].get(described, {}).get(route.method.lower(), {})
        content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        return self._value(content["schema"], content.get("example"), depth=0) if "schema" in content else {}

    def cursors(self, route: Declared) -> list[dict[str, str]]:
        """Query strings that begin a list after something of theirs."""
        operation = self._document["paths"].get(route.path, {}).get(route.method.lower(), {})
        names = {one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"} & {"after", "cursor", "name"}
        return [{name: value} for name in sorted(names) for value in sorted(set(self._ids.values()))]

    def _value(self, schema: dict[str, Any], example: Any = None, *, name: str = "", depth: int) -> Any:
        if "$ref" in schema:
            schema = self._document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        for choice in ("anyOf", "oneOf", "allOf"):
            if choice in schema:
                some = [one for one in schema[choice] if one.get("type") != "null"]
                return self._value(some[self._variant % len(some)], example, name=name, depth=depth)
        example = next(iter(schema.get("examples", ())), schema.get("example", example)) if example is None else example
        if schema.get("type") == "object" or "properties" in schema:
            return self._object(schema, example if isinstance(example, dict) else {}, name, depth)
        if schema.get("type") == "array":
            given = example[0] if isinstance(example, list) and example else None
            return [self._value(schema.get("items", {}), given, name=name.removesuffix("s"), depth=depth + 1)]
        return self._plain(schema, example, name)

    def _object(self, schema: dict[str, Any], example: dict[str, Any], name: str, depth: int) -> Any:
        if name == "filter":
            return {"document_id": self._ids["document_id"]}
        wanted = {*schema.get("required", ()), *example}
        fields = schema.get("properties", {})
        wanted |= {field for field in fields if self._id_of(field) is not None and depth < 4}
        return {
            field: self._value(fields.get(field, {}), example.get(field), name=field, depth=depth + 1)
            for field in wanted
            if field not in ("images", "documents") or name == ""
        } | {field: value for field, value in example.items() if field not in fields}

    def _id_of(self, name: str) -> str | None:
        return self._ids.get(ALIASES.get(name, name)) if name not in ("id", "name", "role") else None

    def _plain(self, schema: dict[str, Any], example: Any, name: str) -> Any:
        if schema.get("enum") or "const" in schema:
            first = example or schema.get("const") or schema["enum"][0]
            return schema["enum"][self._variant % len(schema["enum"])] if self._variant and schema.get("enum") else first
        if (identifier := self._id_of(name)) is not None:
            return identifier
        if name == "id":
            return self._ids[ANYTHING[self._variant % len(ANYTHING)]]
        if name in ("question", "query"):
            return f"What is the combination of the {COLLECTION}?"
        if example is not None:
            return example
        by_type = {"integer": schema.get("minimum", 1), "number": 1, "boolean": False, "array": []}
        return by_type.get(schema.get("type", ""), schema.get("default") or f"the combination of the {COLLECTION}")


def mixed_bodies(document: dict[str, Any], route: Declared, own: dict[str, str], theirs: dict[str, str]) -> list[Any]:
    """A body of the other tenant's identifiers in which all of them are theirs, and one for each of them alone: what is refused
    for one of them says nothing of the others."""
    choices = [theirs, *(own | {name: each} for name, each in theirs.items())]
    made = [Bodies(document, ids, variant).of(route) for ids in choices for variant in range(VARIANTS)]
    return list({json.dumps(body, sort_keys=True): body for body in made}.values())


async def asked(tenants: Tenants, who: str, route: Declared, path: str, **options: Any) -> httpx.Response:
    return await tenants.client.request(route.method, path, headers=tenants.headers(who), **options)


def shown(answer: httpx.Response) -> bool:
    return CANARY in answer.text.lower() or CANARY in str(answer.headers).lower()


def told(tenants: Tenants, answer: httpx.Response) -> list[str]:
    """Their identifiers in an answer that were not in what was asked."""
    ids = [tenants.ids[name] for name in UNGUESSABLE]
    asked_for = f"{answer.request.url} {answer.request.content.decode(errors='replace')}"
    return [each for each in ids if each in f"{answer.text} {answer.headers}" and each not in asked_for]


async def matrix(tenants: Tenants, who: str) -> AsyncIterator[tuple[Declared, httpx.Response]]:
    """Every route, as `who`, with their identifiers."""
    bodies = Bodies(tenants.app.openapi(), tenants.ids)
    for route in declared_routes(tenants.app):
        if route.path.startswith("/static/"):
            continue
        takes_body = route.method in ("POST", "PUT", "PATCH")
        for path in paths(route.path, tenants.ids):
            options: dict[str, Any] = {"json": bodies.of(route)} if takes_body else {}
            yield route, await asked(tenants, who, route, path, **options)
            if who == "other tenant":
                for query in bodies.cursors(route):
                    yield route, await asked(tenants, who, route, path, params=query)


async def test_the_owner_sees_what_the_matrix_looks_for(tenants: Tenants) -> None:
    """Were the bodies or the identifiers wrong, nobody would see anything, and the matrix would hold nothing."""
    seen, failed = set(), {}
    bodies = Bodies(tenants.app.openapi(), tenants.ids)
    for route in declared_routes(tenants.app):
        asks = route.method == "POST" and re.search(r"/(search|rag|rag/invoke)$", route.path)
        if route.method != "GET" and not asks:
            continue
        for path in paths(route.path, tenants.ids):
            options = {"json": bodies.of(route)} if asks else {}
            answer = await asked(tenants, "owner", route, path, **options)
            if shown(answer):
                seen.add(route.path)
            elif route.path in SHOWN_TO_THE_OWNER:
                failed[route.path] = (answer.status_code, options, answer.text[:300])
    assert SHOWN_TO_THE_OWNER - seen == set(), failed


@pytest.mark.parametrize("database", ["sqlite", pytest.param("postgresql", marks=pytest.mark.thorough)], indirect=True)
async def test_no_route_shows_or_changes_what_is_anothers(tenants: Tenants) -> None:
    before, stored = await tenants.rows_of_theirs(), await tenants.stored_of_theirs()
    statuses: dict[str, set[int]] = {}
    for who in ("other tenant", "anonymous", "expired", "revoked", "peer"):
        async for route, answer in matrix(tenants, who):
            where = f"{who}: {answer.request.method} {answer.request.url}: {answer.status_code} {answer.text[:500]}"
            assert not shown(answer), where
            assert who == "peer" or not told(tenants, answer), where
            assert answer.status_code < 500, where
            statuses.setdefault(who, set()).add(answer.status_code)
            if who in ("anonymous", "expired", "revoked") and not route.public:
                assert answer.status_code == 401, where
        after = await tenants.rows_of_theirs()
        assert {key: after.get(key) for key in before} == before, who
        if who != "peer":  # who may make things of their own in the tenant
            assert after == before, who
        assert await tenants.stored_of_theirs() == stored, who
    assert {200, 404} <= statuses["other tenant"]
    assert {200, 403, 404} <= statuses["peer"]


@ON_SQLITE
async def test_a_colleague_with_every_right_but_the_route_s_is_shown_and_changes_nothing(tenants: Tenants) -> None:
    """Of the same tenant, and allowed whatever another route asks for: the one scope that this one asks for is what counts."""
    gated = [route for route in declared_routes(tenants.app) if route.scopes and not route.public]
    for lacked in {route.scopes or frozenset() for route in gated}:
        wanted = {"name": "colleague", "role": "admin", "scopes": sorted(set(Scope) - lacked)}
        made = await tenants.client.post("/api/v1/keys", json=wanted, headers=tenants.headers("owner"))
        assert made.status_code == 201, made.text
        tenants.keys[lacking(lacked)] = made.json()["key"]
    before, stored, bodies = (
        await tenants.rows_of_theirs(),
        await tenants.stored_of_theirs(),
        Bodies(tenants.app.openapi(), tenants.ids),
    )
    for route in gated:
        options: dict[str, Any] = {"json": bodies.of(route)} if route.method in ("POST", "PUT", "PATCH") else {}
        for path in paths(route.path, tenants.ids):
            answer = await asked(tenants, lacking(route.scopes or frozenset()), route, path, **options)
            where = f"{route.method} {path}: {answer.status_code} {answer.text[:500]}"
            assert answer.status_code == 403, where
            assert not shown(answer), where
            assert not told(tenants, answer), where
    assert await tenants.rows_of_theirs() == before
    assert await tenants.stored_of_theirs() == stored


def lacking(scopes: frozenset[Scope]) -> str:
    return f"colleague without {' and '.join(sorted(scopes))}"


@ON_SQLITE
async def test_no_mixture_of_own_and_anothers_identifiers_shows_or_changes_what_is_anothers(tenants: Tenants) -> None:
    """With an address of one's own the body is looked at, which is never reached with an address of theirs."""
    before, stored = await tenants.rows_of_theirs(), await tenants.stored_of_theirs()
    document, seen = tenants.app.openapi(), set()

    def late(route: Declared) -> bool:  # what takes away what the others are asked with
        return route.method == "DELETE" or route.path.endswith(("/policies", "/cancel", "/tenants/{tenant_id}"))

    for route in sorted(declared_routes(tenants.app), key=late):
        takes_body = route.method in ("POST", "PUT", "PATCH")
        if route.path.startswith("/static/") or not (takes_body or "{" in route.path):
            continue
        bodies = mixed_bodies(document, route, tenants.own, tenants.ids) if takes_body else [None]
        for path, body in itertools.product(paths(route.path, tenants.own, tenants.ids), bodies):
            answer = await asked(tenants, "other tenant", route, path, **({} if body is None else {"json": body}))
            where = f"{answer.request.method} {answer.request.url} {body}: {answer.status_code} {answer.text[:500]}"
            assert not shown(answer), where
            assert not told(tenants, answer), where
            assert answer.status_code < 500, where
            if answer.is_success:
                seen.add(route.path)
                if takes_body and any(tenants.ids[name] in f"{path} {json.dumps(body)}" for name in LEADS):
                    assert await tenants.rows_that_lead_to_theirs() == [], where
    assert seen >= WITH_AN_ADDRESS_OF_ONES_OWN, "the addresses of one's own are wrong: the bodies were not looked at"
    assert await tenants.rows_of_theirs() == before
    assert await tenants.stored_of_theirs() == stored


@ON_SQLITE
async def test_whom_it_is_shared_with_for_reading_changes_nothing(tenants: Tenants) -> None:
    before, stored, seen = await tenants.rows_of_theirs(), await tenants.stored_of_theirs(), set()
    async for route, answer in matrix(tenants, "reader"):
        if shown(answer):
            seen.add(route.path)
    after = await tenants.rows_of_theirs()
    assert {key: after.get(key) for key in before} == before
    assert await tenants.stored_of_theirs() == stored
    assert "/api/v1/rag/collections/{name}/search" in seen
    # a session of the reader's own quotes the collection that is shared with them
    others = ("/jobs", "/batches", "/files", "/keys")
    assert [path for path in seen if any(part in path for part in others)] == []


@ON_SQLITE
async def test_a_browser_session_reaches_no_further_than_its_key(tenants: Tenants) -> None:
    """The playgrounds' own stream answers browsers alone."""
    for who, answered in (("other tenant", False), ("peer", False), ("owner", True)):
        signed_in = await tenants.client.post("/signin", data={"key": tenants.keys[who]})
        cookie = {"cookie": f"genai_session={signed_in.cookies['genai_session']}", "sec-fetch-site": "same-origin"}
        tenants.client.cookies.clear()
        bodies = Bodies(tenants.app.openapi(), tenants.ids)
        streams = [route for route in declared_routes(tenants.app) if route.path.endswith("/stream_log")]
        seen = set()
        for route in streams:
            answer = await tenants.client.post(route.path, json=bodies.of(route), headers=cookie)
            assert answer.status_code != 401
            if shown(answer):
                seen.add(route.path)
        assert ("/api/v1/rag/stream_log" in seen) is answered
        assert answered or not seen


@ON_SQLITE
async def test_a_kept_answer_is_given_to_nobody_else(tenants: Tenants) -> None:
    """With the same `Idempotency-Key` and body: to no other tenant, and to no other principal."""
    path, body = f"/api/v1/rag/collections/{COLLECTION}/search", {"query": "combination of the vault"}
    first = await tenants.client.post(path, json=body, headers=tenants.headers("owner") | {"idempotency-key": "same"})
    assert shown(first)
    for who in ("other tenant", "peer", "anonymous", "revoked"):
        answer = await tenants.client.post(path, json=body, headers=tenants.headers(who) | {"idempotency-key": "same"})
        assert answer.status_code in (401, 404), who
        assert not shown(answer)
        assert "idempotent-replayed" not in answer.headers
    again = await tenants.client.post(path, json=body, headers=tenants.headers("owner") | {"idempotency-key": "same"})
    assert again.headers["idempotent-replayed"] == "true"


@ON_SQLITE
async def test_a_session_of_the_same_name_is_ones_own(tenants: Tenants) -> None:
    body = {"messages": [{"role": "user", "content": "Hello"}], "session_id": SESSION}
    for who in ("other tenant", "peer"):
        assert (await tenants.client.post("/api/v1/chat", json=body, headers=tenants.headers(who))).status_code == 200
        kept = await tenants.client.get(f"/api/v1/sessions/{SESSION}", headers=tenants.headers(who))
        assert kept.json()["messages"][0]["content"] == "Hello"
