"""Signing in as people do it: Chromium at the sign-in page, a real OpenID provider beside the platform, and a password."""

import asyncio
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from core.database import Database
from core.settings import Settings
from core.tables import User
from infra.running import Running, running
from server.access.access import Access
from tests.fakes.identity import CLIENT, SECRET, identity_server

PASSWORD = "correct horse battery staple"
PEOPLE: dict[str, dict[str, object]] = {
    "ada": {"name": "Ada L.", "email": "ada@example.test", "email_verified": True, "groups": ["staff"]},
    "mallory": {"email": "mallory@example.test", "email_verified": True, "groups": []},
}
expect.set_options(timeout=40_000)


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A platform with an identity provider, and a local user who has a password."""
    directory = tmp_path_factory.mktemp("sign-in")
    config = directory / "platform.toml"
    with identity_server(PEOPLE) as issuer:
        config.write_text(
            f'[[sign_in.oidc]]\nname = "corp"\nlabel = "Example Corp"\nissuer = "{issuer}"\n'
            f'client_id = "{CLIENT}"\nclient_secret = "env:CORP_SECRET"\nroles = {{ staff = "developer" }}\n'
        )
        settings = {"GENAI_CONFIG": str(config), "CORP_SECRET": SECRET, "GENAI_HANDBOOK": "false"}
        with running(directory, **settings) as started:
            with ThreadPoolExecutor(1) as thread:  # away from Playwright's event loop
                thread.submit(asyncio.run, _make_grace(started.directory / "data")).result()
            yield started


async def _make_grace(data: Path) -> None:
    settings = Settings.load(data_dir=data)
    database = Database(settings)
    grace = User(tenant="default", name="Grace", email="grace@example.test")
    async with database.transaction(all_tenants=True) as session:
        session.add(grace)
    await (await Access.open(settings, database)).passwords.set("default", grace.id, PASSWORD)
    await database.close()


@pytest.fixture
def page(browser: Browser, platform: Running) -> Iterator[Page]:
    context = browser.new_context(base_url=platform.url)
    page = context.new_page()
    page.set_default_timeout(60_000)
    yield page
    context.close()


def test_a_person_signs_in_at_their_identity_provider_and_uses_playground_docs_and_front_page(page: Page) -> None:
    page.goto("/api/v1/chat/playground/")
    page.get_by_role("link", name="Continue with Example Corp").click()
    page.get_by_role("button", name="ada").click()
    expect(page).to_have_url(re.compile("/api/v1/chat/playground/$"))
    box = page.get_by_placeholder("Send a message...")
    box.fill("Say hello in one short sentence.")
    box.press("Enter")
    said = page.locator("div.pointer-events-none.whitespace-pre-wrap").filter(has_text=re.compile(r"\w"))
    expect(said).to_have_count(2, timeout=90_000)
    page.goto("/docs")
    expect(page.get_by_text("GenAI Platform").first).to_be_visible()
    page.goto("/")
    assert (
        page.evaluate("fetch('/api/v1/auth/me').then(r => r.json()).then(me => me.name + ' ' + me.role)") == "Ada L. developer"
    )
    assert page.evaluate("document.cookie") == ""
    page.get_by_role("button", name="Sign out").click()
    page.goto("/")
    expect(page).to_have_url(re.compile("/signin$"))


def test_who_is_in_no_group_is_told_so(page: Page) -> None:
    page.goto("/signin")
    page.get_by_role("link", name="Continue with Example Corp").click()
    page.get_by_role("button", name="mallory").click()
    expect(page.get_by_role("alert")).to_contain_text("groups")


def test_who_says_no_at_the_provider_comes_back_to_the_form(page: Page) -> None:
    page.goto("/signin")
    page.get_by_role("link", name="Continue with Example Corp").click()
    page.get_by_role("button", name="Deny").click()
    expect(page.get_by_role("alert")).to_contain_text("Start again")  # this provider leaves `state` out when it refuses


def test_a_password_signs_in_and_who_guesses_waits(page: Page) -> None:
    def sign_in(email: str, password: str) -> None:
        page.goto("/signin?next=/docs")
        page.get_by_label("E-mail").fill(email)
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Sign in", exact=True).click()

    for _ in range(5):
        sign_in("nobody@example.test", "a wrong password")
        expect(page.get_by_role("alert")).to_contain_text("not right")
    sign_in("nobody@example.test", "a wrong password")
    expect(page.get_by_role("alert")).to_contain_text(re.compile(r"Try again in \d+ seconds"))
    sign_in("Grace@example.test", PASSWORD)
    expect(page).to_have_url(re.compile("/docs$"))


def test_neither_password_nor_token_nor_code_is_in_the_log(platform: Running) -> None:
    with platform.client() as client:
        tokens = client.post("/api/v1/auth/tokens").json()
    log = platform.output()
    assert "sign_in.refused" in log
    secrets = (PASSWORD, SECRET, platform.key, tokens["access_token"], tokens["refresh_token"], "code=", "@example.test")
    assert [secret for secret in secrets if secret in log] == []
