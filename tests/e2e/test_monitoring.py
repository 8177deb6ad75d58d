"""A running server over a ledger in which one version at one provider has become slow: it is marked on its series, and the
alert names the provider and the version."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from core.database import Database, migrate
from core.settings import Settings
from infra.running import running, wait_until
from tests.evals.monitors.watched import FIRST, OTHER, POINT_S, SECOND, Watched, slower_since, usual


@pytest.mark.one_database
def test_a_version_that_has_become_slow_is_told_with_its_provider(tmp_path: Path) -> None:
    data = tmp_path / "platform" / "data"
    data.mkdir(parents=True)
    asyncio.run(_filled(data))
    quick = {"GENAI_MONITORS__POINT_S": str(POINT_S), "GENAI_MONITORS__EVERY_S": "0.5", "GENAI_MONITORS__LATE_S": "0"}
    quick |= {"GENAI_ALERTS__EVERY_S": "0.5", "GENAI_HANDBOOK": "false", "GENAI_LOCAL__WARM": "false"}
    with running(tmp_path / "platform", **quick) as platform, platform.client() as client:

        def alerts() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = client.get("/api/v1/alerts?kind=degradation").raise_for_status().json()["results"]
            return found

        wait_until(lambda: bool(alerts()), within_s=60, what="the alert of a degradation")
        (alert,) = alerts()
        facts = alert["facts"]
        assert (facts["provider"], facts["version"], facts["cause"]) == ("openai", "v2", "version")
        asked = {"alias": "default", "metric": "latency_ms", "all_tenants": "true"}
        series = client.get("/api/v1/monitors/series", params=asked).raise_for_status().json()["results"]
        marked = {(each["provider"], each["version"]): [one["kind"] for one in each["anomalies"]] for each in series}
        assert {named for named, kinds in marked.items() if kinds} == {("openai", "v2")}


async def _filled(data: Path) -> None:
    settings = Settings.load(data_dir=data)
    await asyncio.to_thread(migrate, settings)
    database = Database(settings)
    await Watched(database).call({FIRST: usual, SECOND: slower_since(24), OTHER: usual})
    await database.close()
