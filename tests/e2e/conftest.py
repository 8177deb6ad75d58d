"""The real server for end-to-end tests, once on SQLite and once on PostgreSQL, and a real browser to use it with."""

import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

import infra.postgresql
from infra.running import ROOT, Running, running, wait_until

BACKENDS = ("sqlite", "postgresql")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Modules marked `one_database` run on SQLite alone: what they hold does not reach the database."""
    dropped = [item for item in items if item.get_closest_marker("one_database") and "[postgresql" in item.name]
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = [item for item in items if item not in set(dropped)]


@pytest.fixture(scope="session", params=BACKENDS)
def platform(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A ready platform that the whole session shares: tests make collections and sessions of their own. On PostgreSQL the
    handbook is one page, which takes the same way: embedding all of them once is enough."""
    settings = {"GENAI_LOCAL__THREADS": "1"}  # two that spin for each other fall far behind on a busy machine
    if request.param == "postgresql":
        server = request.getfixturevalue("postgresql")
        settings["GENAI_DATABASE_URL"] = infra.postgresql.database_of_platform(server, "e2e")
        settings["GENAI_HANDBOOK"] = "false"
    with running(tmp_path_factory.mktemp(f"platform-{request.param}"), **settings) as started:
        with started.client() as client:  # the handbook comes in: what memory is measured later is not its
            if "GENAI_HANDBOOK" in settings:
                page = ROOT / "docs/configuration.md"
                started.ingest(client, "handbook", {"docs/configuration.md": page.read_bytes()})
            else:
                wait_until(lambda: "handbook.kept" in started.output(), within_s=300, what="the handbook's job")
            for job in client.get("/api/v1/jobs").raise_for_status().json()["results"]:
                started.finished_job(client, job["id"], within_s=800)
        yield started


@pytest.fixture
def client(platform: Running) -> Iterator[httpx.Client]:
    """Signed in with the administrator's key."""
    with platform.client() as opened:
        yield opened


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a browser. Without one the tests are skipped loudly, or fail where REQUIRE_BROWSER is set, as in CI."""
    found = subprocess.run(
        ["sh", str(ROOT / "infra/setup/find-browser"), sys.executable], capture_output=True, text=True, check=False
    )
    if found.returncode == 0:
        return found.stdout.strip().splitlines()[-1]
    message = "NO BROWSER: what people see was not tested. " + found.stderr.strip()
    if os.environ.get("REQUIRE_BROWSER"):
        pytest.fail(message)
    warnings.warn(message, stacklevel=1)
    pytest.skip(message)


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Any]:
    """One Chromium for a module: while it is open, its own event loop keeps asynchronous tests from running."""
    from playwright.sync_api import sync_playwright

    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield opened
        opened.close()
