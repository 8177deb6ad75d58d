"""Who gets in: health for everybody, all else by key, cookie or a link that works once."""

import httpx
import pytest

from infra.running import Running

PUBLIC = {"/api/v1/health", "/api/v1/health/live", "/api/v1/health/ready"}
#: They ask for a credential in their form.
PUBLIC |= {"/api/v1/auth/token", "/api/v1/auth/revoke"}


def test_an_anonymous_caller_sees_the_status_and_no_more(platform: Running) -> None:
    with platform.client(key="") as anonymous:
        assert anonymous.get("/api/v1/health").json() == {"status": "ready"}


def test_an_administrator_sees_how_every_part_stands(client: httpx.Client) -> None:
    health = client.get("/api/v1/health").json()
    assert {name: health[name]["status"] for name in ("database", "broker", "store")} == dict.fromkeys(
        ("database", "broker", "store"), "ready"
    )
    assert {model["alias"] for model in health["models"]} >= {"default", "embeddings"}


def operations(client: httpx.Client) -> list[tuple[str, str]]:
    described = client.get("/openapi.json")
    assert described.status_code == 200
    methods = {"get", "post", "put", "patch", "delete"}
    return [(method.upper(), path) for path, item in described.json()["paths"].items() for method in item if method in methods]


def test_every_route_of_the_api_but_health_asks_for_a_key(platform: Running, client: httpx.Client) -> None:
    every = operations(client)
    assert len(every) > 40
    with platform.client(key="") as anonymous:
        answers = {
            f"{method} {path}": anonymous.request(method, path.replace("{", "").replace("}", "")).status_code
            for method, path in every
            if path not in PUBLIC
        }
    assert {route: status for route, status in answers.items() if status != 401} == {}


@pytest.mark.parametrize("header", [{"Authorization": "Bearer wrong"}, {"X-API-Key": "wrong"}, {"Authorization": "Basic eDp5"}])
def test_a_wrong_credential_is_refused_with_the_shape_of_every_error(platform: Running, header: dict[str, str]) -> None:
    answer = httpx.get(f"{platform.url}/api/v1/models", headers=header, trust_env=False)
    assert answer.status_code == 401
    error = answer.json()["error"]
    assert error["code"] in {"unauthenticated", "invalid_key"}
    assert error["request_id"] == answer.headers["x-request-id"]


def test_a_key_works_in_either_header_until_it_is_revoked(platform: Running, client: httpx.Client) -> None:
    made = client.post("/api/v1/keys", json={"name": "for a moment", "role": "user"}).json()
    for header in ({"Authorization": f"Bearer {made['key']}"}, {"X-API-Key": made["key"]}):
        assert httpx.get(f"{platform.url}/api/v1/models", headers=header, trust_env=False).status_code == 200
    assert client.delete(f"/api/v1/keys/{made['id']}").status_code == 204
    with platform.client(key=made["key"]) as revoked:
        assert revoked.get("/api/v1/models").status_code == 401


def test_a_user_may_ask_but_not_write_or_make_keys(platform: Running, client: httpx.Client) -> None:
    made = client.post("/api/v1/keys", json={"name": "reader", "role": "user"}).json()
    with platform.client(key=made["key"]) as reader:
        assert reader.get("/api/v1/rag/collections").status_code == 200
        assert reader.post("/api/v1/rag/collections", json={"name": "not-mine"}).status_code == 403
        refused = reader.post("/api/v1/keys", json={"name": "more", "role": "admin"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")


def test_a_sign_in_link_opens_one_session_and_no_second_one(platform: Running, client: httpx.Client) -> None:
    link = client.post("/api/v1/auth/sign-in-links").json()["url"]
    with platform.client(key="") as first, platform.client(key="") as second:
        opened = first.get(link)
        assert (opened.status_code, opened.headers["location"]) == (303, "/")
        cookie = opened.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
        assert first.get("/api/v1/models").status_code == 200
        assert second.get(link).status_code == 401
        assert second.get("/api/v1/models").status_code == 401


def test_the_cookie_does_not_let_another_sites_page_act(platform: Running, client: httpx.Client) -> None:
    link = client.post("/api/v1/auth/sign-in-links").json()["url"]
    with platform.client(key="") as browser:
        browser.get(link)
        body = {"name": "planted"}
        foreign = browser.post("/api/v1/rag/collections", json=body, headers={"Sec-Fetch-Site": "cross-site"})
        other = browser.post("/api/v1/rag/collections", json=body, headers={"Origin": "https://example.test"})
        own = browser.post("/api/v1/rag/collections", json={"name": "own-page"}, headers={"Sec-Fetch-Site": "same-origin"})
    assert (foreign.status_code, other.status_code, own.status_code) == (403, 403, 201)


def test_the_start_prints_a_sign_in_link_and_no_key_into_its_log(platform: Running) -> None:
    assert platform.sign_in_link().startswith(platform.url)
    assert platform.key not in platform.output()
