"""Pages of other origins, in a real browser: the frontend of the documentation works, anybody else's does not."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Error, Page, expect

from infra.running import ROOT, Running, running
from tests.e2e.test_openai_clients import CONFIG
from tests.fakes.openai import OpenAIFake
from tests.fakes.wire import Reply

ANSWER = "The lamp in the hall is green."
EXAMPLE = re.search(r"```html\n(.*?)```", (ROOT / "docs/frontends.md").read_text(), re.DOTALL)


class Site:
    """A web server of somebody else's, on an origin of its own. `asked` are the paths that were asked for."""

    def __init__(self) -> None:
        self.pages: dict[str, str] = {}
        self.asked: list[str] = []
        self.token: dict[str, Any] = {}
        self.origin = ""


@contextmanager
def site() -> Iterator[Site]:
    found = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append(self.path)
            self._answer("text/html", found.pages.get(self.path, ""))

        def do_POST(self) -> None:
            found.asked.append(self.path)
            self._answer("application/json", json.dumps(found.token))

        def _answer(self, kind: str, content: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(content.encode())

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.origin = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def provider() -> Iterator[OpenAIFake]:
    with OpenAIFake() as fake:
        yield fake


@pytest.fixture(scope="module")
def platform(provider: OpenAIFake, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    directory = tmp_path_factory.mktemp("origins")
    config = directory / "genai.toml"
    config.write_text(CONFIG.format(url=provider.base_url))
    with running(directory, GENAI_CONFIG=str(config), GENAI_HANDBOOK="false") as started:
        yield started


@pytest.fixture(scope="module")
def ours(platform: Running) -> Iterator[Site]:
    """The page of the documentation, on an origin that the tenant lets in."""
    with site() as found, platform.client() as client:
        client.put("/api/v1/policies", json={"browsers": {"origins": [found.origin]}}).raise_for_status()
        assert EXAMPLE is not None
        found.pages["/"] = EXAMPLE[1].replace("http://127.0.0.1:8000", platform.url)
        found.token = token(client, found.origin)
        yield found


@pytest.fixture(scope="module")
def theirs(ours: Site) -> Iterator[Site]:
    """The same page, on an origin that nobody lets in, with the other's token."""
    with site() as found:
        found.pages, found.token = ours.pages, ours.token
        yield found


@pytest.fixture
def page(browser: Browser, provider: OpenAIFake) -> Iterator[Page]:
    provider.clear()
    provider.always(Reply(ANSWER))
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(60_000)
    yield page
    context.close()


def token(client: httpx.Client, origin: str, **wanted: Any) -> dict[str, Any]:
    made = client.post("/api/v1/auth/browser-tokens", json={"origin": origin, **wanted})
    assert made.status_code == 201, made.text
    answer: dict[str, Any] = made.json()
    return answer


def test_the_frontend_of_the_documentation_shows_an_answer_as_it_comes(page: Page, ours: Site) -> None:
    page.goto(ours.origin)
    page.get_by_label("Question").fill("What colour is the lamp in the hall?")
    page.get_by_role("button", name="Ask").click()
    expect(page.locator("pre")).to_have_text(ANSWER)
    expect(page.locator("small")).to_have_text(re.compile("gpt-4o-mini, request req_[0-9a-f]+"))


def test_a_whole_answer_comes_with_the_headers_of_the_platform(page: Page, ours: Site) -> None:
    page.goto(ours.origin)
    told = page.evaluate(
        """async () => {
            const answer = await call("/api/v1/chat", { messages: [{ role: "user", content: "Hello?" }] });
            const names = ["x-genai-model", "x-genai-provider", "x-genai-cache", "x-request-id"];
            return { ...(await answer.json()), headers: names.map((name) => answer.headers.get(name)) };
        }"""
    )
    assert told["output"] == ANSWER
    assert told["headers"] == ["gpt-4o-mini", "openai_compatible:fake", "bypass", told["request_id"]]


def test_a_stream_comes_in_pieces_and_a_file_goes_in(page: Page, ours: Site, platform: Running) -> None:
    with platform.client() as client:
        client.post("/api/v1/rag/collections", json={"name": "lamps"}).raise_for_status()
    page.goto(ours.origin)
    pieces = page.evaluate(
        """async () => {
            const body = { model: "default", stream: true, messages: [{ role: "user", content: "Hello?" }] };
            const lines = (await (await call("/v1/chat/completions", body)).text()).split("\\n");
            const events = lines.filter((line) => line.startsWith("data: {")).map((line) => JSON.parse(line.slice(6)));
            return events.map((event) => event.choices[0]?.delta.content ?? "");
        }"""
    )
    assert "".join(pieces) == ANSWER
    document = page.evaluate(
        """async () => {
            const form = new FormData();
            form.append("files", new File(["The lamp in the hall is green."], "lamps.txt"));
            return (await (await call("/api/v1/rag/collections/lamps/documents", form)).json()).documents[0].name;
        }"""
    )
    assert document == "lamps.txt"


def test_an_expired_token_and_a_missing_right_can_be_told_apart(page: Page, ours: Site) -> None:
    page.goto(ours.origin)
    asked = """async ([url, token]) => {
        const answer = await fetch(url, { headers: { Authorization: `Bearer ${token}` } });
        return [answer.status, (await answer.json()).error.code];
    }"""
    url = re.findall(r'PLATFORM = "(.*?)"', ours.pages["/"])[0]
    assert page.evaluate(asked, [f"{url}/api/v1/auth/me", "gk_wrong"]) == [401, "invalid_key"]
    assert page.evaluate(asked, [f"{url}/api/v1/keys", ours.token["access_token"]]) == [403, "forbidden"]


def test_a_stolen_token_is_of_no_use_to_another_page(page: Page, theirs: Site, platform: Running) -> None:
    page.goto(theirs.origin)
    page.get_by_label("Question").fill("What colour is the lamp?")
    page.get_by_role("button", name="Ask").click()
    expect(page.locator("small")).to_have_text("Failed to fetch")  # the browser's words for what it blocks
    for origin in (theirs.origin, "null", None):
        headers = {"authorization": f"Bearer {theirs.token['access_token']}"} | ({"origin": origin} if origin else {})
        refused = httpx.get(f"{platform.url}/api/v1/models", headers=headers, trust_env=False)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "origin_not_allowed")


@pytest.mark.parametrize("whose", ["ours", "theirs"])
def test_the_cookie_of_who_is_signed_in_is_of_no_use_to_another_origin(
    page: Page, whose: str, platform: Running, request: pytest.FixtureRequest
) -> None:
    """Ports make origins and not sites: to SameSite, these pages are the platform's own."""
    with platform.client() as client:
        page.goto(client.post("/api/v1/auth/sign-in-links").json()["url"])
    assert page.evaluate("async () => (await fetch('/api/v1/auth/me')).status") == 200
    page.goto(request.getfixturevalue(whose).origin)
    for method in ("GET", "POST"):
        with pytest.raises(Error, match="Failed to fetch"):
            page.evaluate(
                "([url, method]) => fetch(url, { method, credentials: 'include' })", [f"{platform.url}/api/v1/auth/me", method]
            )


def test_a_revoked_key_ends_its_pages_within_a_second(page: Page, ours: Site, platform: Running) -> None:
    with platform.client() as client:
        key = client.post("/api/v1/keys", json={"name": "backend", "role": "developer"}).json()
        with platform.client(key=key["key"]) as backend:
            made = token(backend, ours.origin)["access_token"]
        page.goto(ours.origin)
        asked = "async ([url, token]) => (await fetch(url, { headers: { Authorization: `Bearer ${token}` } })).status"
        url = f"{platform.url}/api/v1/models"
        assert page.evaluate(asked, [url, made]) == 200
        client.delete(f"/api/v1/keys/{key['id']}").raise_for_status()
        assert page.evaluate(asked, [url, made]) == 401


HOSTILE = (
    "<script>window.owned = 1</script><img src='{evil}/tag.png' onerror='window.owned = 1'>"
    "<svg onload='window.owned = 1'></svg><iframe src='{evil}/frame'></iframe><style>@import '{evil}/style.css';</style> "
    "![pixel]({evil}/markdown.png) [open](javascript:window.owned=1) <a href='javascript:window.owned=1'>go</a> "
    "{{{{constructor.constructor('window.owned=1')()}}}}"
)


@pytest.fixture
def hostile(page: Page, provider: OpenAIFake, platform: Running, theirs: Site) -> Iterator[str]:
    """An answer that wants to run script and load from another server. Nothing of it has happened at the end."""
    text = HOSTILE.format(evil=theirs.origin)
    provider.always(Reply(text))
    theirs.asked.clear()
    with platform.client() as client:
        page.goto(client.post("/api/v1/auth/sign-in-links").json()["url"])
    yield text
    page.evaluate("async () => (await fetch('/api/v1/health/live')).status")  # what the page wanted to load it asked for before
    assert page.evaluate("window.owned") is None
    assert theirs.asked == []


@pytest.mark.parametrize("capability", ["chat", "completion"])
def test_a_playground_shows_a_hostile_answer_as_text(page: Page, hostile: str, capability: str) -> None:
    page.goto(_at(page, f"/api/v1/{capability}/playground/"))
    if capability == "chat":
        box = page.get_by_placeholder("Send a message...")
        box.fill("Hello?")
        box.press("Enter")
    else:
        page.get_by_role("button", name="Start").click()
    expect(page.get_by_text(re.compile(re.escape(hostile[:40]))).first).to_be_visible()
    expect(page.get_by_text(re.compile(re.escape("constructor.constructor"))).first).to_be_visible()


def test_the_api_documentation_shows_a_hostile_answer_as_text(page: Page, hostile: str) -> None:
    page.goto(_at(page, "/docs#/Capabilities"))
    block = page.locator(".opblock-post", has=page.locator("[data-path='/api/v1/chat']"))
    block.locator(".opblock-summary-control").click()
    block.get_by_role("button", name="Try it out").click()
    block.get_by_role("button", name="Execute").click()
    expect(block.locator(".live-responses-table")).to_contain_text("window.owned")


def test_the_front_page_shows_hostile_answers_documents_and_quotes_as_text(
    page: Page, hostile: str, provider: OpenAIFake, tmp_path: Path
) -> None:
    name = "<img src=x onerror=window.owned=1>.md"
    page.get_by_label("into").fill("hostile")
    text = f"The lamp in the hall is green, says {hostile}\n"
    page.locator("#files").set_input_files([{"name": name, "mimeType": "text/plain", "buffer": text.encode()}])
    expect(page.locator("#upload [role=status]")).to_contain_text("Ready: 1 of 1", timeout=90_000)
    provider.always(Reply(f"The lamp in the hall is green [1]. {hostile}"))
    page.get_by_label("Collection", exact=True).select_option("hostile")
    page.locator("#question").fill("What colour is the lamp in the hall?")
    page.get_by_role("button", name="Ask").click()
    expect(page.locator("#answer .text")).to_contain_text("<script>window.owned = 1</script>", timeout=90_000)
    expect(page.locator("#answer .citations cite").first).to_contain_text("onerror")
    page.locator("#answer cite button").first.click()
    expect(page.locator("#place mark")).to_contain_text("The lamp in the hall is green")


def _at(page: Page, path: str) -> str:
    return page.evaluate("location.origin") + path
