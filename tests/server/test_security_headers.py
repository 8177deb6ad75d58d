"""What answers tell browsers that they must not do, on every kind of answer."""

import re

import pytest
from starlette.responses import Response

from server.edge import Edge
from server.security_headers import ALWAYS, DATA_POLICY, PAGE_POLICY, page_policy

from .conftest import ON_SQLITE, Guarded

NAMES = [name.decode() for name, _ in ALWAYS]


@ON_SQLITE
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/signin", 200),
        ("GET", "/account", 200),
        ("GET", "/api/v1/auth/me", 200),
        ("GET", "/nowhere", 404),
        ("DELETE", "/api/v1/auth/me", 405),
        ("POST", "/api/v1/keys", 422),
        ("GET", "/.well-known/jwks.json", 200),
    ],
)
async def test_every_answer_has_them(guarded: Guarded, method: str, path: str, status: int) -> None:
    answer = await guarded.client.request(method, path, headers=guarded.headers, json={} if method == "POST" else None)
    assert answer.status_code == status
    assert [name for name in NAMES if len(answer.headers.get_list(name)) != 1] == []
    page = answer.headers["content-type"].startswith("text/html")
    assert answer.headers["content-security-policy"] == (PAGE_POLICY if page else DATA_POLICY)
    assert answer.headers["cache-control"] in ("no-store", "public, max-age=60")


@ON_SQLITE
async def test_a_refusal_and_a_redirect_have_them_as_well(guarded: Guarded) -> None:
    for headers in ({}, {"accept": "text/html"}):
        answer = await guarded.client.get("/account", headers=headers)
        assert answer.status_code in (401, 303)
        assert [name for name in NAMES if name not in answer.headers] == []


async def test_what_an_answer_says_itself_stays(behind_edge) -> None:  # type: ignore[no-untyped-def]
    app, client = behind_edge()
    app.get("/")(lambda: Response("a", headers={"Content-Security-Policy": "sandbox", "Cache-Control": "max-age=5"}))
    answer = await client.get("/")
    assert answer.headers.get_list("content-security-policy") == ["sandbox"]
    assert answer.headers["cache-control"] == "max-age=5"


@pytest.mark.parametrize(
    ("seconds", "scheme", "host", "told"),
    [
        (60, "https", "genai.example", "max-age=60"),
        (60, "https", "genai.example:8443", "max-age=60"),
        (0, "https", "genai.example", None),
        (60, "http", "genai.example", None),
        (60, "https", "localhost:8443", None),
        (60, "https", "[::1]:8443", None),
    ],
)
async def test_browsers_are_kept_to_https_where_they_came_by_it(seconds: int, scheme: str, host: str, told: str | None) -> None:
    sent = []

    async def app(scope: object, receive: object, send: object) -> None:
        await Response()(scope, receive, send)  # type: ignore[arg-type]

    async def send(message: object) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/", "scheme": scheme, "headers": [(b"host", host.encode())]}
    await Edge(app, hsts_s=seconds)(scope, None, send)  # type: ignore[arg-type]
    headers = dict(sent[0]["headers"])  # type: ignore[index]
    assert headers.get(b"strict-transport-security") == (told.encode() if told else None)


def _parts(policy: str) -> dict[str, str]:
    return dict(part.strip().partition(" ")[::2] for part in policy.split(";"))


def test_the_scripts_that_a_page_came_with_run_and_no_other() -> None:
    html = b"<style>a{}</style><script>let a = 1;</script><script src='/static/a.js'></script><script>\nb\n</script>"
    policy = _parts(page_policy(html))
    # printf 'let a = 1;' | openssl dgst -sha256 -binary | base64
    assert "'sha256-xY6QKfH9PRsQnLz56nj6MBwiK5oHg+im1Jkpdp1x/Ck='" in policy["script-src"]
    assert len(re.findall("'sha256-", policy["script-src"])) == 2
    assert len(re.findall("'sha256-", policy["style-src"])) == 1
    assert "unsafe" not in page_policy(html)
    assert (
        "'unsafe-inline'"
        not in dict(part.strip().partition(" ")[::2] for part in page_policy(html, styles=True).split(";"))["script-src"]
    )


def test_the_starting_page_may_show_its_own_style_alone() -> None:
    assert page_policy(b"<style>b{}</style>") != page_policy(b"<style>c{}</style>")
