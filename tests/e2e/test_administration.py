"""What an administrator does in Chromium: users, a team, keys and the audit log, on a desk, on a phone and without a script."""

import re
import uuid
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from infra.running import Running
from tests.e2e.test_browser import SHOWS_DARK

PASSWORD = "correct horse battery staple"
SECTIONS = ("users", "teams", "roles", "keys", "tenants", "audit")
#: Fields that a screen reader has no name for.
NAMELESS = """() => [...document.querySelectorAll("main :is(input:not([type=hidden]), select, textarea)")]
  .filter((field) => !field.labels.length && !field.ariaLabel).map((field) => field.outerHTML)"""
expect.set_options(timeout=40_000)


@pytest.fixture
def page(browser: Browser, platform: Running, client: httpx.Client) -> Iterator[Page]:
    """An administrator's. What its scripts complain of fails the test."""
    context = browser.new_context(base_url=platform.url, viewport={"width": 1200, "height": 900})
    page = context.new_page()
    page.set_default_timeout(60_000)
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(client.post("/api/v1/auth/sign-in-links").json()["url"])
    yield page
    context.close()
    assert complaints == []


def unfolded(page: Page, text: str) -> None:
    page.locator("summary").filter(has_text=text).first.click()


def test_a_person_is_made_let_in_put_into_a_team_and_signed_out(page: Page, browser: Browser, platform: Running) -> None:
    name = f"Ada {uuid.uuid4().hex[:6]}"
    address = f"{name.replace(' ', '').lower()}@example.test"
    page.get_by_role("link", name="Administration").click()
    page.get_by_role("navigation", name="Administration").get_by_role("link", name="Users").click()
    page.wait_for_url("**/admin/users")
    page.locator("details.disclose").evaluate("(details) => { details.open = true; }")  # it is while there are no users
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("E-mail address optional").fill(address)
    page.get_by_role("button", name="Make the user").click()
    expect(page.get_by_role("status")).to_contain_text("The user is made")
    expect(page).not_to_have_url(re.compile("done"))  # said once
    page.locator("#password").fill(PASSWORD)
    page.get_by_label("Password again").fill(PASSWORD)
    page.get_by_role("button", name="Set the password").click()
    expect(page.get_by_role("status")).to_contain_text("The password is set")
    expect(page).not_to_have_url(re.compile("done"))
    user = page.url

    context = browser.new_context(base_url=platform.url)
    theirs = context.new_page()
    theirs.goto("/admin/users")
    theirs.get_by_label("E-mail").fill(address)
    theirs.get_by_label("Password").fill(PASSWORD)
    theirs.get_by_role("button", name="Sign in", exact=True).click()
    expect(theirs).to_have_url(re.compile("/admin/users$"))  # back where they wanted to go
    expect(theirs.get_by_role("alert")).to_contain_text("lacks the scope users:manage")
    theirs.get_by_role("link", name="To the front page").click()
    expect(theirs.get_by_role("link", name="Administration")).to_have_count(0)

    page.goto("/admin/teams")
    page.get_by_label("Name", exact=True).fill(f"Team of {name}")
    page.get_by_role("button", name="Make the team").click()
    page.get_by_label("E-mail address or identifier of a user").fill(address)
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_role("link", name=name, exact=True)).to_be_visible()

    page.goto(user)
    unfolded(page, "End their sessions")
    page.get_by_role("button", name="End all sessions").click()
    expect(page.get_by_role("status")).to_contain_text("have ended")
    theirs.goto("/account")
    expect(theirs).to_have_url(re.compile("/signin"))
    context.close()


def test_a_key_is_narrowed_made_used_rotated_and_revoked_and_all_of_it_is_on_record(page: Page, platform: Running) -> None:
    name = f"reporting {uuid.uuid4().hex[:6]}"
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto("/admin/keys")
    unfolded(page, "Make a key")
    unfolded(page, "Give it no more than it needs")
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Networks").fill("not a network")
    page.get_by_label("models:read").check()
    page.get_by_role("button", name="Make the key").click()
    expect(page.get_by_role("alert")).to_contain_text("networks")
    expect(page.get_by_label("Networks")).to_be_focused()
    expect(page.get_by_label("Name", exact=True)).to_have_value(name)
    page.get_by_label("Networks").fill("127.0.0.0/8")
    page.get_by_role("button", name="Make the key").click()
    key = page.locator("#secret").inner_text()
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == key
    assert asked(platform, key, "models") == 200
    assert asked(platform, key, "jobs") == 403
    page.reload()  # asks again, and makes no second key
    expect(page.locator("#secret")).to_have_count(0)
    expect(page.get_by_role("link", name=name)).to_have_count(1)

    page.get_by_role("link", name=name).click()
    page.get_by_label("The old key goes on").select_option(label="for an hour")
    page.get_by_role("button", name="Make the new key").click()
    new = page.locator("#secret").inner_text()
    assert [asked(platform, each, "models") for each in (key, new)] == [200, 200]
    page.reload()
    summary = page.locator("summary").filter(has_text="Revoke the key")
    summary.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Revoke it for good")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Revoke it for good")).to_be_hidden()
    expect(summary).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("revoked")
    assert [asked(platform, each, "models") for each in (key, new)] == [401, 200]

    expect(page).not_to_have_url(re.compile("done"))
    page.goto(f"/admin/audit?object={page.url.rpartition('/')[2]}")
    found = page.locator(".events summary b")
    expect(found.filter(has_text=re.compile(r"^key\."))).to_have_text(["key.revoked", "key.rotated", "key.created"])
    page.locator(".events summary").first.click()
    expect(page.get_by_role("link", name="all by them").first).to_be_visible()
    page.get_by_role("button", name="Verify the log").click()
    expect(page.get_by_role("status")).to_contain_text("The log is whole")


def asked(platform: Running, key: str, path: str) -> int:
    return httpx.get(f"{platform.url}/api/v1/{path}", headers={"x-api-key": key}).status_code


@pytest.mark.one_database
def test_every_page_fits_a_phone_is_dark_where_that_is_preferred_and_names_its_fields(
    browser: Browser, platform: Running, client: httpx.Client
) -> None:
    context = browser.new_context(
        base_url=platform.url, viewport={"width": 390, "height": 800}, is_mobile=True, color_scheme="dark"
    )
    page = context.new_page()
    page.goto(client.post("/api/v1/auth/sign-in-links").json()["url"])
    made = client.post("/api/v1/users", json={"name": "A name without a space " + "x" * 100}).json()["id"]
    team = client.post("/api/v1/teams", json={"name": "y" * 120}).json()["id"]
    client.put(f"/api/v1/teams/{team}/members", json={"members": [made]}).raise_for_status()
    more = (f"/users/{made}", f"/teams/{team}", "/roles/admin", "/keys/key_administrator", "/users/usr_gone")
    for path in ("", *(f"/{section}" for section in SECTIONS), *more):
        page.goto(f"/admin{path}")
        page.wait_for_function(SHOWS_DARK)
        page.evaluate("document.querySelectorAll('main details').forEach((details) => { details.open = true; })")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
        assert page.evaluate(NAMELESS) == [], path
        expect(page.locator("h1")).to_have_count(1)
    context.close()


@pytest.mark.one_database
def test_the_pages_work_without_a_script(browser: Browser, platform: Running, client: httpx.Client) -> None:
    context = browser.new_context(base_url=platform.url, java_script_enabled=False)
    page = context.new_page()
    page.goto(client.post("/api/v1/auth/sign-in-links").json()["url"])
    page.goto("/admin/teams")
    page.get_by_label("Name", exact=True).fill(f"Team {uuid.uuid4().hex[:6]}")
    page.get_by_role("button", name="Make the team").click()
    expect(page.get_by_role("status")).to_contain_text("The team is made")
    unfolded(page, "Delete")
    page.locator("button.danger.solid").click()
    expect(page.get_by_role("status")).to_contain_text("The team is deleted")
    context.close()
