"""The dashboard and the usage explorer in Chromium: live, drawn, readable by everybody, on a desk and on a phone."""

import re
import uuid
from collections.abc import Iterator

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect

from infra.running import Running, wait_until

pytestmark = pytest.mark.one_database

#: What a chart has drawn: whether any point of its canvas is coloured.
_IS_DRAWN = """(canvas) => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some((each) => each)"""

expect.set_options(timeout=40_000)


def wait_until_drawn(canvas: Locator) -> None:
    """The chart's script may come after what else is on the page."""
    wait_until(lambda: canvas.evaluate(_IS_DRAWN), within_s=30, what="a drawn chart")


@pytest.fixture
def page(browser: Browser, platform: Running, client: httpx.Client) -> Iterator[Page]:
    """An administrator's. What its scripts complain of fails the test, as does what the policy of its contents stops."""
    context = browser.new_context(base_url=platform.url, viewport={"width": 1200, "height": 900})
    page = context.new_page()
    page.set_default_timeout(60_000)
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda told: complaints.append(told.text) if told.type == "error" else None)
    page.goto(client.post("/api/v1/auth/sign-in-links").json()["url"])
    yield page
    context.close()
    assert complaints == []


def ask(client: httpx.Client) -> None:
    body = {"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 4}
    client.post("/api/v1/chat", json=body).raise_for_status()


def test_the_dashboard_follows_calls_and_budgets_while_it_is_open(page: Page, client: httpx.Client) -> None:
    name = f"budget {uuid.uuid4().hex[:6]}"
    made = client.post("/api/v1/budgets", json={"name": name, "limit_tokens": 1_000_000, "window": "day", "mode": "soft"})
    page.get_by_role("link", name="Dashboard", exact=True).click()
    expect(page.locator("#live")).to_contain_text("live")
    traffic = page.locator("#traffic")
    wait_until_drawn(traffic.locator("canvas"))
    traffic.get_by_text("as a table").click()
    answered = "() => Chart.getChart(document.querySelector('#traffic canvas')).data.datasets[0].data.reduce((a, b) => a + b)"
    before = page.evaluate(answered)
    ask(client)
    page.wait_for_function(f"(before) => ({answered})() > before", arg=before)
    expect(traffic.locator("tbody tr").filter(has_text=re.compile(r"Z[1-9]")).first).to_be_visible()
    expect(page.locator("#aliases")).to_contain_text("default")
    expect(page.locator("#budgets li").filter(has_text=name)).to_contain_text("of its time is over")
    expect(page.locator("#providers")).to_contain_text("SmolLM2-135M-Instruct")
    client.delete(f"/api/v1/budgets/{made.json()['id']}")
    expect(page.locator("#budgets li").filter(has_text=name)).to_have_count(0)


def test_the_explorer_looks_into_a_group(page: Page, client: httpx.Client) -> None:
    ask(client)
    page.get_by_role("link", name="Usage", exact=True).click()
    page.get_by_label("Told apart by").select_option("alias")
    page.get_by_label("and by", exact=True).select_option("provider")
    page.get_by_label("What", exact=True).select_option("requests")
    page.get_by_role("button", name="Show").click()
    for chart in ("#over-time-chart", "#compared-chart"):
        wait_until_drawn(page.locator(f"{chart} canvas"))
    group = page.get_by_role("row").filter(has=page.get_by_role("link", name="default", exact=True))
    expect(group).to_contain_text("local")
    group.get_by_role("link").click()
    expect(page.get_by_role("link", name="Take away the filter Alias: default")).to_be_visible()
    expect(page.get_by_role("columnheader", name="Model")).to_be_visible()
    page.get_by_role("link", name="Take away the filter Alias: default").click()
    expect(page.get_by_role("link", name=re.compile("the filter Alias"))).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_fit_a_phone_and_can_be_used_by_everybody(
    browser: Browser, platform: Running, client: httpx.Client, scheme: str
) -> None:
    ask(client)
    context = browser.new_context(
        base_url=platform.url, viewport={"width": 360, "height": 740}, is_mobile=True, color_scheme=scheme
    )
    page = context.new_page()
    page.goto(client.post("/api/v1/auth/sign-in-links").json()["url"])
    for path in ("/dashboard", "/usage?by=alias&and_by=provider"):
        page.goto(path)
        wait_until_drawn(page.locator("canvas").first)
        page.locator("details").evaluate_all("(all) => all.forEach((each) => { each.open = true; })")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
        found = Axe().run(page)
        assert found.violations_count == 0, f"{path}: {found.generate_report()}"
    context.close()
