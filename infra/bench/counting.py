"""One count in four places: the ledger, what sums it, Prometheus, and the provider itself."""

import asyncio
import secrets
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from core.database import blocking_engine, blocking_transaction
from core.settings import Settings
from infra.bench import gateway, mock_provider, request_mix
from infra.running import Running, wait_until

_TOTALS = text(
    "SELECT count(*) AS attempts, sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens, "
    "sum(cost_usd) AS cost_usd, sum(CASE WHEN status <> 'ok' THEN 1 ELSE 0 END) AS failed, "
    "sum(CASE WHEN estimated THEN 0 ELSE input_tokens END) AS told_input_tokens, "
    "sum(CASE WHEN estimated THEN 0 ELSE output_tokens END) AS told_output_tokens FROM ledger"
)


async def counted(place: Path, *, requests: int) -> dict[str, float]:
    """Requests of all kinds, a fifth of them failing, malformed, cut or left by their caller; then everybody's counts.

    Raises:
        AssertionError: they differ.
    """
    token = secrets.token_urlsafe(32)
    with (
        gateway.mock_provider() as provider,
        gateway.full_profile(place, provider, {"GENAI_METRICS__TOKEN": token, "GENAI_METRICS__PORT": "0"}) as platform,
    ):
        key = gateway.scoped_key(platform)
        answers = await request_mix.make(platform, key, requests)
        served = gateway.served(provider)
        ledger = await asyncio.to_thread(settled, platform, served["calls"])
        with platform.client() as client, platform.client(key=token) as scraper:
            (usage,) = client.get("/api/v1/usage").raise_for_status().json()["results"]
            (analytics,) = client.get("/api/v1/usage/analytics").raise_for_status().json()["results"]
            scraped = scraper.get("/metrics").raise_for_status().text
    seen = {
        "provider": _picked({"attempts": served["calls"]}),
        "ledger": _picked(ledger),
        "usage": _picked(usage),
        "analytics": _picked(analytics),
        "prometheus": _picked(_of_prometheus(scraped)),
    }
    unread = (served["output_tokens"] - ledger["told_output_tokens"]) / mock_provider.DELTAS
    assert len({each["attempts"] for each in seen.values()}) == 1, seen
    assert all(seen[name] == seen["ledger"] for name in ("usage", "analytics", "prometheus")), seen
    # an answer that was on its way when its caller hung up is estimated: nobody has read what the provider said of it
    assert 0 <= unread <= answers["hung up before the answer", 0], (served, ledger)
    assert served["input_tokens"] - ledger["told_input_tokens"] == unread * mock_provider.PROMPT_TOKENS, (served, ledger)
    return {"requests": requests, "unread": unread, **{name: float(value) for name, value in seen["ledger"].items()}}


def settled(platform: Running, calls: int) -> dict[str, Any]:
    """The ledger's sums, once as many calls are in it: who has hung up has not waited for that."""
    engine = blocking_engine(Settings.load(database_url=platform.settings["GENAI_DATABASE_URL"], data_dir=platform.directory))

    def read() -> dict[str, Any]:
        with blocking_transaction(engine) as connection:
            return dict(connection.execute(_TOTALS).mappings().one())

    try:
        wait_until(lambda: read()["attempts"] >= calls, within_s=5, what="every call in the ledger")
    except TimeoutError:
        pass  # the counts are told
    finally:
        found = read()
        engine.dispose()
    return found


def _picked(found: dict[str, Any]) -> dict[str, Any]:
    picked: dict[str, Any] = {
        name: int(found[name]) for name in ("attempts", "failed", "input_tokens", "output_tokens") if name in found
    }
    if "cost_usd" in found:
        picked["cost_usd"] = round(Decimal(str(found["cost_usd"])), 9)
    return picked


def _of_prometheus(scraped: str) -> dict[str, float]:
    sums: defaultdict[str, float] = defaultdict(float)
    for family in text_string_to_metric_families(scraped):
        for sample in family.samples:
            if sample.name == "genai_provider_attempts_total":
                sums["attempts"] += sample.value
                sums["failed"] += sample.value if sample.labels["outcome"] != "ok" else 0
            elif sample.name == "genai_tokens_total":
                kind = "output_tokens" if sample.labels["class"] == "output" else "input_tokens"
                sums[kind] += sample.value
            elif sample.name == "genai_cost_usd_total":
                sums["cost_usd"] += sample.value
    return sums
