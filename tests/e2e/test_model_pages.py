"""The pages of models, evaluations and experiments in Chromium: used as people use them, on a desk and on a phone."""

import asyncio
import re
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from core.settings import Settings
from infra.running import Running, wait_until
from infra.sample_traffic import Traffic
from tests.e2e.test_dashboard import wait_until_drawn

pytestmark = pytest.mark.one_database

SLOW_MS = 90_000
REGISTRY = "/api/v1/models/registry"
DEPLOYMENT = {"provider": "local", "model": "bundled"}
SUITE = """name: {name}
dataset: {name}
target: {{capability: chat, alias: default, template: "{{text}}", parameters: {{max_tokens: 4}}}}
metrics: [f1, latency]
run: {{reuse: false}}
"""
expect.set_options(timeout=40_000)


@pytest.fixture
def page(browser: Browser, platform: Running, client: httpx.Client) -> Iterator[Page]:
    """An administrator's. What its scripts complain of fails the test, as does what the policy of its contents stops."""
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


def registered(client: httpx.Client, versions: int = 2) -> str:
    """An alias of a test's own, whose first version is live."""
    name = f"pages-{uuid.uuid4().hex[:8]}"
    for number in range(1, versions + 1):
        body = {"deployments": [DEPLOYMENT], "parameters": {"temperature": number / 10}}
        client.post(f"{REGISTRY}/{name}/versions", json=body).raise_for_status()
    client.post(f"{REGISTRY}/{name}/deploy", json={"version": 1}).raise_for_status()
    return name


def run_of(client: httpx.Client, name: str) -> str:
    """A run that has ended, of a suite and a dataset of this name."""
    made = client.post("/api/v1/evals/runs", json={"suite": name})
    made.raise_for_status()
    address = f"/api/v1/evals/runs/{made.json()['id']}"
    wait_until(lambda: client.get(address).json()["state"] == "succeeded", within_s=90, what="the run")
    return str(made.json()["id"])


def suite(client: httpx.Client) -> str:
    name = f"suite-{uuid.uuid4().hex[:8]}"
    examples = [{"input": {"text": f"Say {word}."}, "expected": word} for word in ("one", "two", "three")]
    client.post("/api/v1/evals/datasets", json={"name": name, "examples": examples}).raise_for_status()
    client.post("/api/v1/evals/suites", json={"definition": SUITE.format(name=name)}).raise_for_status()
    return name


def test_a_version_is_compared_deployed_by_steps_and_rolled_back(page: Page, client: httpx.Client) -> None:
    alias = registered(client)
    page.get_by_role("link", name="Models", exact=True).click()
    page.get_by_role("link", name=alias).click()
    expect(page.locator("#diff")).to_contain_text("0.1")
    expect(page.locator("#diff")).to_contain_text("0.2")
    page.get_by_text("Deploy a version").click()
    page.get_by_label("How", exact=True).select_option("canary")
    page.get_by_label(re.compile("^Why")).and_(page.locator("#deploy-reason")).fill("Calmer.")
    page.get_by_role("button", name="Deploy it").click()
    expect(page.get_by_role("status")).to_contain_text("It is deployed")
    expect(page.get_by_role("heading", name="Canary of version 2")).to_be_visible()
    expect(page.locator("[aria-current=step]")).to_contain_text("5 %")
    page.locator(".head summary").filter(has_text="Roll back").click()
    page.locator(".head").get_by_role("button", name="Roll back").click()
    expect(page.get_by_role("status")).to_contain_text("It is rolled back")
    expect(page.locator("#history tbody tr")).to_have_count(5)
    expect(page.locator("#history")).to_contain_text("Calmer.")
    assert client.get(f"{REGISTRY}/{alias}").json()["candidate"] is None


def test_a_run_is_followed_and_compared(page: Page, client: httpx.Client) -> None:
    name = suite(client)
    base = run_of(client, name)
    page.get_by_role("link", name="Evaluations", exact=True).click()
    page.get_by_text("Run a suite").click()
    page.get_by_label("Suite", exact=True).select_option(name)
    page.get_by_role("button", name="Run it").click()
    page.wait_for_url("**/evals/runs/*")
    expect(page.locator("#progress")).to_contain_text("3 of 3 examples", timeout=SLOW_MS)
    expect(page.locator("#state")).to_have_text("succeeded", timeout=SLOW_MS)  # by itself
    expect(page.locator("#examples tbody tr")).to_have_count(3)
    page.get_by_label("Against").select_option(base)
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Two runs beside each other")
    wait_until_drawn(page.locator("#effects canvas"))
    page.set_viewport_size({"width": 1000, "height": 720})
    verdicts = page.get_by_role("region", name="Table of verdicts")
    assert verdicts.evaluate("table => table.scrollWidth <= table.clientWidth"), "no column of it is cut"
    page.get_by_label("By the metric").select_option("latency")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("#examples tbody tr")).to_have_count(3)
    expect(page.get_by_role("row").filter(has_text="latency").first).to_contain_text(
        re.compile("better|worse|no difference|inconclusive")
    )


def test_an_experiment_is_made_started_and_ended(page: Page, client: httpx.Client) -> None:
    alias, name = registered(client), f"exp-{uuid.uuid4().hex[:8]}"
    page.get_by_role("link", name="Experiments", exact=True).click()
    if not page.get_by_label("Name", exact=True).is_visible():
        page.get_by_text("Make an experiment").click()
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Alias", exact=True).select_option(alias)
    page.get_by_label("Variants", exact=True).fill("control\ncalmer = 2")
    page.get_by_label("Decided by").select_option("latency_ms")
    page.get_by_role("button", name="Make the draft").click()
    page.get_by_role("button", name="Start it").click()
    expect(page.get_by_role("status")).to_contain_text("It runs")
    expect(page.get_by_role("row").filter(has_text="latency")).to_contain_text("inconclusive")
    page.get_by_text("Conclude it, and promote").click()
    page.get_by_label("Which is to stay").select_option("calmer")
    page.get_by_label("Deploy its version").check()
    page.get_by_role("button", name="Conclude the experiment").click()
    expect(page.locator(".head")).to_contain_text("version 2 is deployed")
    assert client.get(f"{REGISTRY}/{alias}").json()["live"] == 2


def test_a_prompt_is_changed_compared_deployed_and_rolled_back(page: Page, client: httpx.Client) -> None:
    page.get_by_role("link", name="Prompts", exact=True).click()
    page.get_by_role("link", name="rag_rewrite.txt", exact=True).click()
    page.get_by_text("Make a version").click()
    text = page.get_by_label("What models are asked with")
    text.fill(f"{text.input_value()}\nBe <b>brief</b>.")
    page.get_by_role("button", name="Make it, as a draft").click()
    expect(page.locator("#diff ins")).to_have_text("is: Be <b>brief</b>.")
    expect(page.locator("#diff del")).to_have_count(0)
    page.get_by_text("Make a version").click()
    text.fill("No place for anything.")
    page.get_by_role("button", name="Make it, as a draft").click()
    expect(page.get_by_role("alert")).to_be_visible()
    expect(text).to_have_value("No place for anything.")
    page.get_by_text("Deploy a version").click()
    page.locator("#deploy-reason").fill("Shorter.")
    page.get_by_role("button", name="Deploy it").click()
    expect(page.get_by_role("status")).to_contain_text("It is deployed")
    expect(page.locator("#history tbody tr").first).to_contain_text("Shorter.")
    live = client.get("/api/v1/prompts/rag_rewrite.txt/versions").json()["results"][0]
    assert (live["state"], live["text"].endswith("Be <b>brief</b>.")) == ("live", True)
    page.locator(".head summary").click()
    page.locator(".head").get_by_role("button", name="Roll back").click()
    expect(page.locator(".head")).to_contain_text("the one that is built in")
    assert client.get("/api/v1/prompts/rag_rewrite.txt/versions/0").json()["state"] == "live"


def drifted(platform: Running, client: httpx.Client) -> str:
    """A collection, by its name, that has been asked of something else since yesterday."""
    made = client.post("/api/v1/rag/collections", json={"name": f"drifted-{uuid.uuid4().hex[:8]}"}).raise_for_status().json()
    identity = made["id"]

    async def asked() -> None:
        traffic = Traffic(Settings.load(data_dir=platform.directory / "data"))
        await traffic.asked(identity)
        await traffic.close()

    with ThreadPoolExecutor(1) as pool:  # the browser has a loop in this thread
        pool.submit(asyncio.run, asked()).result()
    return str(made["name"])


def test_drift_and_patterns_of_use_are_drawn(page: Page, platform: Running, client: httpx.Client) -> None:
    identity = drifted(platform, client)
    page.get_by_role("link", name="Monitoring", exact=True).click()
    expect(page.locator("#drift > table tbody tr").filter(has_text=identity).filter(has_text="drifted")).to_have_count(2)
    drawn = page.locator("#drift figure").filter(has_text=f"What is asked of {identity}")
    wait_until_drawn(drawn.locator("canvas"))
    drawn.get_by_text("as a table").click()
    expect(drawn.locator("tbody tr")).to_have_count(16)
    wait_until_drawn(page.locator("#topics canvas"))
    page.get_by_label("Whose").select_option("all")
    page.get_by_role("button", name="Show").click()
    expect(page.locator(".head")).to_contain_text("Of all tenants")
    expect(page.locator("#drift > table")).to_contain_text(identity)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_fit_a_phone_and_can_be_used_by_everybody(
    browser: Browser, platform: Running, client: httpx.Client, scheme: Literal["light", "dark"]
) -> None:
    alias, name = registered(client), suite(client)
    runs = [run_of(client, name) for _ in range(2)]
    experiment = {"name": f"exp-{uuid.uuid4().hex[:8]}", "alias": alias}
    experiment |= {"variants": [{"name": "control"}, {"name": "new", "version": 2}]}  # type: ignore[dict-item]
    client.post("/api/v1/experiments", json=experiment).raise_for_status()
    client.post(f"/api/v1/experiments/{experiment['name']}/start").raise_for_status()
    context = browser.new_context(
        base_url=platform.url, viewport={"width": 360, "height": 740}, is_mobile=True, color_scheme=scheme
    )
    page = context.new_page()
    page.goto(client.post("/api/v1/auth/sign-in-links").json()["url"])
    compared = f"/evals/compare?a={runs[0]}&b={runs[1]}"
    of_one = (f"/models/{alias}", f"/evals/runs/{runs[0]}", compared, f"/experiments/{experiment['name']}")
    drifted(platform, client)
    others = ("/prompts", "/prompts/rag.txt", "/monitors?tenants=all")
    for path in ("/models", "/evals", "/experiments", *of_one, *others):
        page.goto(path)
        expect(page.get_by_role("heading", level=1)).to_have_count(1)
        page.locator("details").evaluate_all("(all) => all.forEach((each) => { each.open = true; })")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
        found = Axe().run(page)
        assert found.violations_count == 0, f"{path}: {found.generate_report()}"
    client.post(f"/api/v1/experiments/{experiment['name']}/stop").raise_for_status()
    context.close()
