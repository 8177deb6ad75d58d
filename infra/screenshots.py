"""`make screenshots`: the pictures of the README, taken of a platform that has just been started and used."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import FilePayload, Page, sync_playwright

from core.settings import Settings
from infra import samples
from infra.running import ROOT, Running, running, wait_until
from infra.sample_traffic import Traffic

PICTURES = ROOT / "docs" / "pictures"
SLOW_MS = 90_000


def main() -> int:
    """Take them; 1 where there is no browser."""
    found = subprocess.run(
        ["sh", "infra/setup/find-browser", sys.executable, "--install"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if found.returncode:
        sys.stderr.write(found.stderr)
        return 1
    PICTURES.mkdir(exist_ok=True)
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory() as place, running(Path(place)) as platform, sync_playwright() as playwright:
        _fill(platform)
        browser = playwright.chromium.launch(executable_path=found.stdout.strip().splitlines()[-1], args=arguments)
        context = browser.new_context(base_url=platform.url, viewport={"width": 1240, "height": 860}, device_scale_factor=1.5)
        page = context.new_page()
        page.set_default_timeout(SLOW_MS)
        with platform.client() as client:
            page.goto(client.post("/api/v1/auth/sign-in-links").json()["url"])
        _front_page(page)
        _documents(page)
        _ask(page)
        _chat_playground(page)
        _rag_playground(page)
        _administration(page, platform)
        _operations(page, platform)
        page.set_viewport_size({"width": 390, "height": 800})
        page.goto("/")
        page.locator("[data-part] .dot.ready").first.wait_for()
        page.screenshot(path=PICTURES / "phone.png")
        browser.close()
    return 0


def _fill(platform: Running) -> None:
    """A collection to ask, and the handbook in full."""
    with platform.client() as client:
        files = {**samples.one_of_each(), "lumen-probe.pdf": samples.pdf(samples.MANUAL, title="Lumen probe")}
        del files["probe.txt"]  # the same text: the picture is to show a page number
        platform.ingest(client, "manuals", files)
        path = "/api/v1/rag/collections/handbook/documents?limit=200"

        def filled() -> bool:
            states = {row["state"] for row in client.get(path).json().get("results", [{"state": "missing"}])}
            return states == {"ready"}

        wait_until(filled, within_s=600, what="the handbook")


def _front_page(page: Page) -> None:
    page.reload()
    page.get_by_label("Collection", exact=True).select_option("manuals")
    page.locator("#question").fill(samples.FACTS[0][0])
    page.get_by_role("button", name="Ask").click()
    page.locator("#answer .citations li").first.wait_for()
    page.locator("#answer .meta").filter(has_text="·").or_(page.locator("#answer .citations cite")).first.wait_for()
    page.locator("[data-part] .dot.ready").first.wait_for()
    page.evaluate("scrollTo(0, 0)")  # asking has scrolled to the answer
    page.screenshot(path=PICTURES / "front-page.png")


def _documents(page: Page) -> None:
    page.goto("/documents/manuals")
    seals = samples.markdown("Seals", samples.MANUAL[3:])
    files = [FilePayload(name="seals.md", mimeType="text/markdown", buffer=seals)]
    files.append(FilePayload(name="scan-0042.pdf", mimeType="application/pdf", buffer=b"%PDF-1.7"))
    page.locator("#files").set_input_files(files)
    page.locator("#upload-status").filter(has_text="Done:").wait_for()
    page.locator("#list tr").filter(has_text="seals.md").filter(has_text="ready").wait_for()
    page.locator("#query").fill("maximum depth of the probe")
    page.get_by_role("button", name="Search").click()
    page.locator("#found li").first.wait_for()
    page.evaluate("for (const more of document.querySelectorAll('#found li:nth-child(n + 3)')) more.remove()")
    page.screenshot(path=PICTURES / "documents.png")


def _ask(page: Page) -> None:
    page.goto("/ask?collection=manuals")
    for question, shown in ((samples.FACTS[0][0], ".citations a"), (samples.OFF_TOPIC_QUESTION, ".verdict")):
        page.locator("#question").fill(question)
        page.locator("#question").press("Enter")
        page.locator(f".turn:last-child {shown}").first.wait_for()
    page.locator(".citations a").first.click()
    page.locator("#place mark").wait_for()
    page.screenshot(path=PICTURES / "ask.png")


def _chat_playground(page: Page) -> None:
    page.goto("/api/v1/chat/playground/")
    box = page.get_by_placeholder("Send a message...")
    box.fill("What is the tide? Answer in two sentences.")
    box.press("Enter")
    page.wait_for_function("() => document.body.innerText.length > 250")  # a plain expression would need eval
    page.wait_for_timeout(5000)  # the page shows no sign of a reply's end
    page.screenshot(path=PICTURES / "chat-playground.png")


def _rag_playground(page: Page) -> None:
    page.goto("/api/v1/rag/playground/")
    page.get_by_role("button", name="Start").click()
    page.get_by_role("button", name="Stop").wait_for()
    page.get_by_role("button", name="Start").wait_for()
    page.screenshot(path=PICTURES / "rag-playground.png")


def _administration(page: Page, platform: Running) -> None:
    with platform.client() as client:
        robot = {"name": "Nightly reports", "kind": "service", "role": "developer"}
        robot_id = client.post("/api/v1/users", json=robot).json()["id"]
        narrowed: dict[str, Any]
        made = {}
        for name, narrowed in (
            ("reporting", {"role": "developer", "user_id": robot_id, "expires_at": "2030-12-31T23:59:59Z"}),
            ("ci pipeline", {"role": "developer", "scopes": ["code:invoke", "models:read"], "networks": ["127.0.0.0/8"]}),
            ("support chat", {"role": "user", "models": ["default"]}),
            ("mobile app", {"role": "user"}),
            ("old laptop", {"role": "developer"}),
        ):
            made[name] = client.post("/api/v1/keys", json={"name": name, **narrowed}).json()
        client.post(f"/api/v1/keys/{made['mobile app']['id']}/rotate", json={"overlap_s": 86_400})
        client.delete(f"/api/v1/keys/{made['old laptop']['id']}")
        for name in ("reporting", "ci pipeline"):
            client.get("/api/v1/models", headers={"Authorization": f"Bearer {made[name]['key']}"})
    page.goto("/admin/keys?ended=true")
    page.screenshot(path=PICTURES / "administration.png")


def _operations(page: Page, platform: Running) -> None:
    with platform.client() as client:
        for name, scope, limit, window in (("search team", {}, 40, "month"), ("claude a day", {"alias": "default"}, 1, "day")):
            client.post(
                "/api/v1/budgets", json={"name": name, "scope": scope, "limit_usd": limit, "window": window, "mode": "soft"}
            )
        deployment = {"provider": "local", "model": "bundled"}
        version = {"deployments": [deployment], "parameters": {"temperature": 0.2}, "reason": "Less of a surprise."}
        client.post("/api/v1/models/registry/default/versions", json=version)
        runs = _evaluated(client)
        approval = {"evaluation": runs[-1], "score": 0.91}
        client.post("/api/v1/models/registry/default/versions/2/approve", json=approval)
        variants = [{"name": "control"}, {"name": "shorter", "version": 2}]
        experiment = {"name": "shorter-prompt", "alias": "default", "variants": variants, "rules": {"on_verdict": False}}
        made = client.post("/api/v1/experiments", json=experiment).raise_for_status().json()
        client.post("/api/v1/experiments/shorter-prompt/start").raise_for_status()
        with ThreadPoolExecutor(1) as pool:  # the browser has a loop in this thread
            collection = client.get("/api/v1/rag/collections/manuals").json()["id"]
            pool.submit(asyncio.run, _used(platform, made["id"], collection)).result()
        _prompted(client)
        steps = [{"weight": 5, "minutes": 30}, {"weight": 25, "minutes": 30}, {"weight": 50, "minutes": 60}]
        canary = {"steps": steps, "rules": {"max_error_rate": 0.05, "max_latency_ratio": 1.5}}
        client.post(
            "/api/v1/models/registry/default/deploy", json={"version": 2, "canary": canary, "reason": "Approved by the team."}
        )
    for name, address, shown in (
        ("dashboard", "/dashboard", "#live.good"),
        ("usage", "/usage?by=alias&and_by=provider", "#compared-chart canvas"),
        ("models", "/models/default", "#diff"),
        ("prompts", "/prompts/rag.txt?before=1&after=2", "#diff .lines"),
        ("monitors", "/monitors", "#drift canvas >> nth=0"),
        ("evals", f"/evals/compare?a={runs[0]}&b={runs[1]}&metric=f1", "#effects canvas"),
        ("experiments", "/experiments/shorter-prompt", "#intervals canvas"),
    ):
        page.goto(address)
        page.locator(shown).wait_for()
        page.screenshot(path=PICTURES / f"{name}.png", full_page=name == "dashboard")


def _evaluated(client: httpx.Client) -> list[str]:
    """Two runs of a suite: the second is asked for shorter answers."""
    capitals = {"France": "Paris", "Italy": "Rome", "Spain": "Madrid", "Norway": "Oslo", "Japan": "Tokyo", "Egypt": "Cairo"}
    examples = [{"input": {"text": f"What is the capital of {land}?"}, "expected": town} for land, town in capitals.items()]
    client.post("/api/v1/evals/datasets", json={"name": "capitals", "examples": examples}).raise_for_status()
    runs = []
    for system in ("Answer in a sentence.", "Answer with one word."):
        target = {"template": "{text}", "system": system, "parameters": {"max_tokens": 24}}
        suite = {"name": "capitals", "dataset": "capitals", "target": target, "metrics": ["f1", "exact_match", "latency"]}
        made = client.post("/api/v1/evals/runs", json={"definition": json.dumps(suite)}).raise_for_status().json()
        address = f"/api/v1/evals/runs/{made['id']}"
        wait_until(lambda address=address: client.get(address).json()["ended_at"], within_s=120, what="a run")  # type: ignore[misc]
        runs.append(made["id"])
    return runs


def _prompted(client: httpx.Client) -> None:
    """A prompt in two versions, the first of which is live."""
    address = "/api/v1/prompts/rag.txt"
    built_in = client.get(f"{address}/versions/0").raise_for_status().json()["text"]
    first = f"{built_in.rstrip()}\nAnswer in three sentences at most.\n"
    for text, reason in ((first, "Shorter answers."), (first.replace("three", "two"), "Shorter still.")):
        client.post(f"{address}/versions", json={"text": text, "reason": reason}).raise_for_status()
    client.post(f"{address}/deploy", json={"version": 1, "reason": "Approved by the team."}).raise_for_status()


async def _used(platform: Running, experiment_id: str, collection_id: str) -> None:
    traffic = Traffic(Settings.load(data_dir=platform.directory / "data"))
    await traffic.write()
    await traffic.experiment(experiment_id)
    await traffic.asked(collection_id)
    await traffic.close()


if __name__ == "__main__":
    sys.exit(main())
