"""The documents and ask pages in Chromium: brought in, searched, asked, read at the very place, deleted; for everybody."""

import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from infra import samples
from infra.running import Running
from tests.retrievers import making

pytestmark = pytest.mark.one_database

SLOW_MS = 90_000
QUESTION, ANSWER = samples.FACTS[0]
IN_OTHER_WORDS = re.compile(ANSWER.replace(",", ",?"))
expect.set_options(timeout=40_000)


@pytest.fixture
def page(browser: Browser, platform: Running, client: httpx.Client) -> Iterator[Page]:
    """A page that is signed in. What its scripts complain of fails the test, as does what the policy of its contents stops."""
    context = browser.new_context(base_url=platform.url, viewport={"width": 1200, "height": 900})
    page = context.new_page()
    page.set_default_timeout(60_000)
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda told: complaints.append(told.text) if "Content Security Policy" in told.text else None)
    page.goto(client.post("/api/v1/auth/sign-in-links").json()["url"])
    yield page
    context.close()
    assert complaints == []


def test_files_are_brought_in_followed_searched_read_and_deleted(page: Page, tmp_path: Path) -> None:
    name = f"p-{uuid.uuid4().hex[:8]}"
    page.get_by_role("link", name="Documents", exact=True).click()
    if not page.get_by_label("Name", exact=True).is_visible():
        page.get_by_text("Make a collection").click()
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_role("button", name="Make the collection").click()

    (tmp_path / "probe/deep").mkdir(parents=True)
    (tmp_path / "probe/deep/manual.pdf").write_bytes(samples.pdf(samples.MANUAL))
    (tmp_path / "probe/broken.pdf").write_bytes(b"%PDF-1.7 and no more")
    (tmp_path / "probe/all.zip").write_bytes(making.zipped({"bad.pdf": b"%PDF-1.7 and no more"}))
    page.get_by_label("Choose a folder").set_input_files(tmp_path / "probe")
    status, files, held = page.locator("#upload-status"), page.locator("#uploads li"), page.locator("#list")
    expect(status).to_have_text("Done: 2 of 3 ready, 1 failed, 1 failed within archives.", timeout=SLOW_MS)
    expect(files.filter(has_text="probe/deep/manual.pdf")).to_contain_text("ready")
    failed = files.filter(has_text="probe/broken.pdf")
    expect(failed).to_contain_text("corrupt_file")
    expect(failed).to_contain_text("save it anew")
    expect(held.get_by_role("row", name="probe/broken.pdf")).to_contain_text("corrupt_file")
    expect(held.get_by_role("row", name="probe/deep/manual.pdf")).to_contain_text("ready")

    page.evaluate(
        """() => {
            const given = new DataTransfer();
            given.items.add(new File(["The word of the day is heron."], "dropped.txt"));
            document.querySelector("#drop").dispatchEvent(new DragEvent("drop", { dataTransfer: given, cancelable: true }));
        }"""
    )
    expect(status).to_have_text("Done: 1 of 1 ready.", timeout=SLOW_MS)
    expect(held.get_by_role("row", name="dropped.txt")).to_contain_text("ready")

    page.get_by_label("What to look for").fill("maximum depth of the probe")
    page.get_by_role("button", name="Search").click()
    best = page.locator("#found li").first
    expect(best.locator("mark", has_text="depth").first).to_be_visible()
    expect(best.locator(".scores")).to_contain_text(re.compile(r"together.*meaning.*words"))
    best.get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("probe/deep/manual.pdf")
    expect(page.locator("mark#span")).to_contain_text(ANSWER)
    expect(page.locator("mark#span")).to_be_in_viewport()
    expect(page.locator(".head")).to_contain_text("Page 2")

    page.goto(f"/documents/{name}?name=PROBE%2FBROKEN&state=failed")
    page.get_by_label("Delete: probe/broken.pdf").click()
    page.get_by_role("button", name="Delete the document").click()
    expect(page.get_by_role("status").filter(has_text="The document is deleted")).to_be_visible()
    expect(held).to_contain_text("Nothing fits")


def test_what_is_added_here_waits_for_nobody_whose_job_is_paused(page: Page, client: httpx.Client, tmp_path: Path) -> None:
    name = f"p-{uuid.uuid4().hex[:8]}"
    collection = f"/api/v1/rag/collections/{name}"
    client.post("/api/v1/rag/collections", json={"name": name}).raise_for_status()
    client.post(f"{collection}/pause").raise_for_status()
    for number in range(2):
        sent = client.post(f"{collection}/documents", files=[("files", (f"held-{number}.md", b"It waits."))])
        client.post(f"/api/v1/jobs/{sent.json()['job_id']}/pause").raise_for_status()
    client.post(f"{collection}/resume").raise_for_status()

    page.goto(f"/documents/{name}")
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours/heron.txt").write_text("The word of the day is heron.")
    page.get_by_label("Choose a folder").set_input_files(tmp_path / "ours")
    expect(page.locator("#upload-status")).to_have_text("Done: 1 of 1 ready.", timeout=SLOW_MS)


def test_an_answer_leads_to_its_place_and_a_conversation_goes_on(page: Page, platform: Running, client: httpx.Client) -> None:
    name = f"p-{uuid.uuid4().hex[:8]}"
    platform.ingest(client, name, {"manual.pdf": samples.pdf(samples.MANUAL)})
    page.goto("/")
    page.get_by_role("link", name="Ask", exact=True).click()
    page.get_by_label("Collection", exact=True).select_option(name)
    question = page.get_by_label("Question")

    page.route("**/api/v1/rag", lambda _: None)  # an answer that does not come
    question.fill(QUESTION)
    question.press("Enter")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".turn").last).to_contain_text("Stopped.")
    page.unroute("**/api/v1/rag")

    question.fill(QUESTION)
    question.press("Enter")
    answer = page.locator(".turn").last
    citation = answer.locator(".citations a").first
    expect(citation).to_have_text("manual.pdf", timeout=SLOW_MS)
    expect(answer.locator(".said")).to_contain_text(IN_OTHER_WORDS)
    expect(page.locator("#told")).to_contain_text(IN_OTHER_WORDS)  # to a screen reader, once
    useful = answer.get_by_role("button", name="This answer is useful")
    useful.click()
    expect(useful).to_have_attribute("aria-pressed", "true")
    answer.get_by_label("Why, in your words").fill("The right page.")
    page.keyboard.press("Enter")
    expect(answer.get_by_role("status")).to_have_text("Thank you, your words are kept.")
    answer.get_by_role("button", name="This answer is not useful").click()
    expect(useful).to_have_attribute("aria-pressed", "false")
    given = client.get("/api/v1/feedback").json()["results"][0]
    assert (given["rating"], given["comment"]) == ("down", "The right page.")
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    cited = answer.locator(".citations li").filter(has_text=ANSWER)
    quote, citation = cited.locator("blockquote").inner_text(), cited.locator("a").first
    citation.click()
    expect(page.get_by_role("dialog").locator("mark")).to_have_text(quote)
    expect(page.get_by_role("dialog")).to_contain_text("page 2")
    page.keyboard.press("Escape")
    page.goto(f"{citation.get_attribute('href')}")
    expect(page.locator("mark#span")).to_have_text(quote)
    page.go_back()

    expect(page.locator(".turn.assistant")).to_contain_text(IN_OTHER_WORDS)  # kept
    expect(page.get_by_label("Collection", exact=True)).to_have_value(name)
    page.get_by_label("Question").fill(samples.OFF_TOPIC_QUESTION)
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.locator(".turn.missing")).to_contain_text("Not in the documents", timeout=SLOW_MS)
    expect(page.locator(".turn.missing .citations")).to_have_count(0)


def test_what_comes_closest_is_shown_where_nothing_answers_on_both_pages_and_leads_to_its_place(
    page: Page, platform: Running, client: httpx.Client
) -> None:
    name = f"p-{uuid.uuid4().hex[:8]}"
    close = "The warranty of the Lumen 300 is 30 months."
    platform.ingest(client, name, {"lumen.md": f"# Lumen 300\n\n{close}\n".encode()})
    for address, asked, within in ((f"/ask?collection={name}", "Question", ".turn.missing"), ("/", "#question", "#answer")):
        page.goto(address)
        if asked == "Question":
            page.get_by_label(asked).fill("What is the warranty of the Lumen 500?")
        else:
            page.get_by_label("Collection", exact=True).select_option(name)
            page.locator(asked).fill("What is the warranty of the Lumen 500?")
        page.get_by_role("button", name="Ask", exact=True).click()
        expect(page.locator(f"{within} .closest")).to_contain_text("may not answer it", timeout=SLOW_MS)
        expect(page.locator(f"{within} .citations blockquote")).to_have_text(close)
        page.locator(f"{within} .citations cite").locator("a, button").click()
        expect(page.get_by_role("dialog").locator("mark")).to_have_text(close)


def test_code_in_an_answer_is_shown_as_code_and_again_when_the_conversation_is_opened(
    page: Page, platform: Running, client: httpx.Client
) -> None:
    name = f"p-{uuid.uuid4().hex[:8]}"
    code = "def call(handler, *args, **kwargs):\n    # <b>all</b> that it was given\n    return handler(*args, **kwargs)"
    platform.ingest(client, name, {"call.py": f"{code}\n".encode()})
    page.goto(f"/ask?collection={name}")
    page.get_by_label("Question").fill("What does call do?")
    page.get_by_role("button", name="Ask", exact=True).click()
    shown = page.locator(".turn.assistant .said pre code")
    for _ in ("as it came", "as it was kept"):
        expect(shown).to_have_text(code, timeout=SLOW_MS)
        expect(page.locator(".turn.assistant .said")).not_to_contain_text("```")
        page.reload()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_fit_a_phone_and_can_be_used_by_everybody(
    browser: Browser, platform: Running, client: httpx.Client, scheme: str
) -> None:
    name = f"p-{uuid.uuid4().hex[:8]}"
    files = {"manual.pdf": samples.pdf(samples.MANUAL), f"{'a-long-name-without-a-break' * 5}.pdf": b"%PDF-1.7"}
    platform.ingest(client, name, files)
    (document, *_) = client.get(f"/api/v1/rag/collections/{name}/documents", params={"state": "ready"}).json()["results"]
    context = browser.new_context(
        base_url=platform.url, viewport={"width": 360, "height": 740}, is_mobile=True, color_scheme=scheme
    )
    page = context.new_page()
    page.goto(client.post("/api/v1/auth/sign-in-links").json()["url"])
    place = f"/documents/{name}/{document['id']}?start=0&end=12"
    for path in ("/", "/documents", f"/documents/{name}", place, f"/ask?collection={name}", "/documents/no-such"):
        page.goto(path)
        expect(page.get_by_role("heading", level=1)).to_have_count(1)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
        found = Axe().run(page)
        assert found.violations_count == 0, f"{path}: {found.generate_report()}"
    context.close()
