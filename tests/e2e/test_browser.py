"""What people see: Chromium signs in, chats, brings a PDF in, asks, and reads the citation."""

import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from infra import samples
from infra.running import Running

#: What people do with it is the same on either database: once is enough.
pytestmark = pytest.mark.one_database

CAPABILITIES = ("completion", "code/generate", "code/explain", "code/review", "code/fix", "code/tests", "code/translate", "rag")
SLOW_MS = 90_000
expect.set_options(timeout=40_000)


@pytest.fixture
def page(browser: Browser, platform: Running, client: httpx.Client) -> Iterator[Page]:
    """A page that a sign-in link has signed in. What its scripts complain of fails the test."""
    context = browser.new_context(base_url=platform.url, viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(60_000)
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(client.post("/api/v1/auth/sign-in-links").json()["url"])
    yield page
    context.close()
    assert complaints == []


def test_a_link_signs_in_and_the_front_page_shows_what_runs(page: Page) -> None:
    assert page.url.endswith("/")
    for name in ("Database", "Broker", "Vector store"):
        expect(page.get_by_text(name, exact=True)).to_be_visible()
    expect(page.locator("[data-part] .dot.ready")).to_have_count(3)
    expect(page.locator("[data-model] .dot.ready")).to_have_count(2)


def test_a_key_signs_in_a_wrong_one_does_not_and_signing_out_ends_it(browser: Browser, platform: Running) -> None:
    context = browser.new_context(base_url=platform.url)
    page = context.new_page()
    page.goto("/")
    expect(page).to_have_url(re.compile("/signin"))
    page.get_by_label("Key").fill("wrong")
    page.get_by_role("button", name="Sign in with the key").click()
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_label("Key").fill(platform.key)
    page.get_by_role("button", name="Sign in with the key").click()
    expect(page.locator("#capabilities")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    page.goto("/api/v1/chat/playground/")
    expect(page).to_have_url(re.compile("/signin"))
    context.close()


@pytest.mark.parametrize(("scopes", "shown"), [(["chat:invoke"], 0), (["chat:invoke", "health:read"], 3)])
def test_the_front_page_asks_for_nothing_that_its_reader_may_not_see(
    browser: Browser, platform: Running, client: httpx.Client, scopes: list[str], shown: int
) -> None:
    role = f"narrow-{shown}"
    client.put(f"/api/v1/roles/{role}", json={"scopes": scopes}).raise_for_status()
    key = client.post("/api/v1/keys", json={"name": role, "role": role}).raise_for_status().json()["key"]
    context = browser.new_context(base_url=platform.url)
    page = context.new_page()
    page.goto("/signin")
    page.get_by_label("Key").fill(key)
    page.get_by_role("button", name="Sign in with the key").click()
    expect(page.locator("#capabilities")).to_be_visible()
    wrong: list[str] = []
    page.on("response", lambda answer: wrong.append(answer.url) if answer.status >= 400 else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.reload()
    page.wait_for_load_state("networkidle")
    expect(page.locator("[data-part] .dot.ready")).to_have_count(shown)
    expect(page.locator("[data-jobs], #question, .dot.failed")).to_have_count(0)
    context.close()
    assert wrong == []


def test_chat_in_the_chat_playground(page: Page) -> None:
    page.goto("/api/v1/chat/playground/")
    box = page.get_by_placeholder("Send a message...")
    box.fill("Say hello in one short sentence.")
    box.press("Enter")
    expect(box).to_have_value("")
    messages = page.locator("div.pointer-events-none.whitespace-pre-wrap").filter(has_text=re.compile(r"\w"))
    expect(messages).to_have_count(2, timeout=SLOW_MS)  # what was said, and the reply
    expect(messages.filter(has_text="Say hello in one short sentence.")).to_have_count(1)


@pytest.mark.one_database
@pytest.mark.parametrize("capability", CAPABILITIES)
def test_a_playground_comes_filled_in_and_answers(page: Page, capability: str) -> None:
    page.goto(f"/api/v1/{capability}/playground/")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_text("Output", exact=True)).to_be_visible(timeout=SLOW_MS)
    expect(page.get_by_role("button", name="Start")).to_be_visible(timeout=SLOW_MS)
    expect(page.get_by_role("alert")).to_be_hidden()


@pytest.mark.one_database
def test_a_sample_picture_comes_with_the_playground_and_one_from_disk_replaces_it(page: Page, tmp_path: Path) -> None:
    sign = tmp_path / "sign.png"
    sign.write_bytes(samples.picture("QUAY NINE"))
    page.goto("/api/v1/multimodal/playground/")
    expect(page.get_by_text("A sample is filled in")).to_be_visible()
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_text(re.compile("text Open 9 to 17"))).to_be_visible(timeout=SLOW_MS)
    page.locator("input[type=file]").nth(1).set_input_files(sign)  # as a document: the sample is no part of it
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_text(re.compile("text QUAY NINE"))).to_be_visible(timeout=SLOW_MS)
    expect(page.get_by_text(re.compile("Open 9 to 17"))).to_have_count(0)


DARK = ("/", "/docs", "/api/v1/chat/playground/", "/api/v1/rag/playground/")


@pytest.mark.one_database
def test_every_kind_of_page_is_dark_where_that_is_preferred_and_fits_a_phone(
    browser: Browser, platform: Running, client: httpx.Client
) -> None:
    context = browser.new_context(
        base_url=platform.url, viewport={"width": 390, "height": 800}, is_mobile=True, color_scheme="dark"
    )
    page = context.new_page()
    page.goto(client.post("/api/v1/auth/sign-in-links").json()["url"])
    for path in DARK:
        page.goto(path)
        expect(page.locator("a[href='/']").first).to_be_visible()
        page.wait_for_function(SHOWS_DARK)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
    for path in ("/", "/experiments"):
        page.goto(path)
        for width, most in ((390, 110), (1280, 80)):  # the name and a strip; one row
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.querySelector('.top').offsetHeight") < most, (path, width)
    context.close()


#: The colour behind the middle of the page's first line, from whatever element paints it.
SHOWS_DARK = """() => {
  let at = document.elementFromPoint(195, 4);
  while (at && getComputedStyle(at).backgroundColor === "rgba(0, 0, 0, 0)") at = at.parentElement;
  const painted = getComputedStyle(at ?? document.documentElement);
  return painted.backgroundColor.match(/\\d+/g).slice(0, 3).every((part) => Number(part) < 80);
}"""


@pytest.mark.one_database
def test_what_is_said_on_a_phone_stays_within_it(browser: Browser, platform: Running, client: httpx.Client) -> None:
    context = browser.new_context(base_url=platform.url, viewport={"width": 390, "height": 800}, is_mobile=True)
    page = context.new_page()
    page.goto(client.post("/api/v1/auth/sign-in-links").json()["url"])
    page.goto("/api/v1/chat/playground/")
    box = page.get_by_placeholder("Send a message...")
    box.fill("Say hello in one short sentence.")
    box.press("Enter")
    said = page.locator("div.pointer-events-none.whitespace-pre-wrap").filter(has_text=re.compile(r"\w"))
    expect(said).to_have_count(2, timeout=SLOW_MS)
    for one in said.all():
        place = one.bounding_box()
        assert place is not None
        assert place["x"] >= 0
        assert place["x"] + place["width"] <= 390
    context.close()


def test_a_refusal_is_shown_so_that_a_person_can_read_it(page: Page, client: httpx.Client) -> None:
    page.goto("/api/v1/rag/playground/")
    collection = page.locator("textarea, input").filter(has_not=page.locator("[type=file]"))
    filled = [field for field in collection.all() if field.input_value() == "handbook"]
    assert filled, "the collection comes filled in"
    filled[0].fill("no-such-collection")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_text(re.compile("collection.*no-such-collection|no-such-collection.*collection")).last).to_be_visible()


def test_a_pdf_is_brought_in_asked_and_cited_on_the_front_page(page: Page, tmp_path: Path) -> None:
    collection = f"web-{uuid.uuid4().hex[:8]}"
    manual = tmp_path / "manual.pdf"
    manual.write_bytes(samples.pdf(samples.MANUAL))
    page.get_by_label("into").fill(collection)
    page.locator("#files").set_input_files(manual)
    expect(page.locator("#upload [role=status]")).to_contain_text("Ready: 1 of 1", timeout=SLOW_MS)

    page.get_by_label("Collection", exact=True).select_option(collection)
    question, words = samples.FACTS[0]
    page.locator("#question").fill(question)
    page.get_by_role("button", name="Ask").click()
    expect(page.locator("#answer .text")).to_contain_text(words, timeout=SLOW_MS)
    citation = page.locator("#answer .citations li").filter(has_text=words)
    expect(citation.locator("blockquote")).to_contain_text(words)
    expect(citation.locator("cite")).to_contain_text("manual.pdf, page 2")


def test_a_file_that_is_refused_is_named_on_the_front_page_and_the_others_are_read(page: Page) -> None:
    page.locator("#into").fill(f"b-{uuid.uuid4().hex[:8]}")
    names = ["first.txt", f"{'long' * 300}.txt", *(f"more{number}.txt" for number in range(50))]
    files = [{"name": name, "mimeType": "text/plain", "buffer": f"The word of {name[:9]} is heron.".encode()} for name in names]
    page.locator("#files").set_input_files(files)
    expect(page.locator("#upload [role=status]")).to_contain_text("Ready: 51 of 52", timeout=SLOW_MS)
    expect(page.locator("#upload .problems")).to_contain_text("1 to 1,000 bytes")


def test_a_citation_shows_its_place_and_what_a_collection_holds_can_be_deleted(page: Page) -> None:
    name = f"b-{uuid.uuid4().hex[:8]}"
    page.on("dialog", lambda dialog: dialog.accept())
    page.locator("#into").fill(name)
    text = "Es grüßt 😀.\n\nThe lamp in the hall is green. The lamp in the cellar is red."
    page.locator("#files").set_input_files([{"name": "lamps.txt", "mimeType": "text/plain", "buffer": text.encode()}])
    expect(page.locator("#upload [role=status]")).to_contain_text("Ready: 1 of 1", timeout=SLOW_MS)
    page.get_by_label("Collection", exact=True).select_option(name)
    page.locator("#question").fill("What colour is the lamp in the hall?")
    page.locator("#question-form button").click()
    page.locator("#answer cite button").first.click(timeout=SLOW_MS)
    expect(page.locator("#place mark")).to_have_text("The lamp in the hall is green.")
    page.locator("#place form button").click()
    page.locator("#holdings summary").click()
    page.locator("#holdings li", has_text="lamps.txt").get_by_role("button").click()
    expect(page.locator("#holdings ul")).to_have_text("No documents yet.")
    page.locator("#drop-collection").click()
    expect(page.locator(f"#collection option[value={name}]")).to_have_count(0)


def test_the_front_page_fits_a_phone(browser: Browser, platform: Running, client: httpx.Client) -> None:
    context = browser.new_context(base_url=platform.url, viewport={"width": 360, "height": 740}, is_mobile=True)
    page = context.new_page()
    page.goto(client.post("/api/v1/auth/sign-in-links").json()["url"])
    expect(page.locator("#capabilities")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    context.close()


def test_the_api_documentation_asks_nobody_beyond_this_machine(page: Page, platform: Running) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto("/docs")
    expect(page.get_by_role("heading", name="Capabilities")).to_be_visible()
    page.goto("/")
    assert [url for url in asked if not url.startswith((platform.url, "data:", "blob:"))] == []


def test_an_example_of_the_front_page_runs_as_it_is_copied(page: Page, platform: Running) -> None:
    import subprocess

    command = page.locator("#capability-chat [data-example=rest] code").first.inner_text()
    done: Any = subprocess.run(
        ["sh", "-c", command],
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "GENAI_API_KEY": platform.key},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert '"output"' in done.stdout, done.stderr + done.stdout


@pytest.mark.parametrize("path", ["/", "/account", "/docs", "/api/v1/chat/playground/", "/api/v1/rag/playground/"])
def test_every_page_runs_its_own_scripts_and_none_that_is_put_into_it(page: Page, path: str) -> None:
    told: list[str] = []
    page.on("console", lambda message: told.append(message.text))
    page.goto(path)
    page.wait_for_load_state("networkidle")
    assert [text for text in told if "Content Security Policy" in text] == []
    page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "window.ranInline = true";
            document.body.append(script);
            const frame = document.createElement("div");
            frame.innerHTML = "<img src=x onerror='window.ranHandler = true'>";
            document.body.append(frame);
        }"""
    )
    page.wait_for_load_state("networkidle")
    assert page.evaluate("[window.ranInline, window.ranHandler].filter(Boolean)") == []
    assert [text for text in told if "Content Security Policy" in text] != []


def test_no_page_can_be_framed(page: Page, platform: Running) -> None:
    told: list[str] = []
    page.on("console", lambda message: told.append(message.text))
    page.set_content(f'<iframe src="{platform.url}/signin"></iframe>')
    expect(page.frame_locator("iframe").get_by_label("Key")).to_have_count(0)
    assert "frame-ancestors" in "".join(told)
