"""The running platform after scripted traffic: what it counts is what the ledger has and what the provider saw, and all that
rules and dashboards ask for is there, of `/metrics` and of a real Prometheus."""

import re
import subprocess
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from core.alerts import AlertKind
from core.metrics.families import FAMILIES
from infra.running import ROOT, Running, running, wait_until
from tests.e2e import observed
from tests.fakes.openai import OpenAIFake
from tests.fakes.wire import Fault, Reply

TOKEN = "a-token-that-prometheus-shows-us-here"
_HI = [{"role": "user", "content": "Hi."}]
_CONFIG = """
[[models]]
alias = "default"
[[models.deployments]]
provider = "openai_compatible:bad"
model = "worse"
[[models.deployments]]
provider = "openai_compatible:good"
model = "better"
price = {{ input_usd_per_million = "0.15", output_usd_per_million = "0.6" }}
[[models]]
alias = "kept"
[[models.deployments]]
provider = "openai_compatible:good"
model = "unheard-of"
[models.cache]
exact = true
[[models]]
alias = "broken"
[[models.deployments]]
provider = "openai_compatible:bad"
model = "worse"
[providers."openai_compatible:good"]
base_url = "{good}"
[providers."openai_compatible:bad"]
base_url = "{bad}"
"""


@pytest.fixture(scope="module")
def fakes() -> Iterator[tuple[OpenAIFake, OpenAIFake]]:
    with OpenAIFake() as good, OpenAIFake() as bad:
        good.always(Reply(input_tokens=12, output_tokens=5))
        bad.always(Fault.SERVER)
        yield good, bad


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory, fakes: tuple[OpenAIFake, OpenAIFake]) -> Iterator[Running]:
    """A platform that has been used through every door, with faults."""
    directory = tmp_path_factory.mktemp("observed")
    (directory / "platform.toml").write_text(_CONFIG.format(good=fakes[0].base_url, bad=fakes[1].base_url))
    with running(
        directory,
        GENAI_CONFIG=str(directory / "platform.toml"),
        GENAI_METRICS__TOKEN=TOKEN,
        GENAI_METRICS__PORT="0",
        GENAI_HANDBOOK="false",
        GENAI_LOCAL__WARM="false",
    ) as started:
        with started.client() as client:
            use(started, client)
        yield started


def use(platform: Running, client: httpx.Client) -> None:
    for _ in range(3):
        for stream in (False, True):
            for path, more in (("/api/v1/chat", {}), ("/v1/chat/completions", {"model": "default"})):
                client.post(path, json={"messages": _HI, "stream": stream, **more}).raise_for_status()
        client.post("/api/v1/chat/invoke", json={"input": {"messages": _HI}}).raise_for_status()
        client.post("/api/v1/chat", json={"messages": _HI, "model": "kept", "temperature": 0}).raise_for_status()
    assert client.post("/api/v1/chat", json={"messages": _HI, "model": "broken"}).status_code in (502, 503)
    assert client.post("/api/v1/chat", json={"messages": _HI, "model": "nope"}).status_code == 404
    assert platform.ingest(client, "ships", {"a.txt": b"The keeper of the lighthouse counts ships."})["state"] == "succeeded"
    assert platform.ingest(client, "ships", {"b.pdf": b"%PDF-1.7 broken"}, create=False)["state"] == "failed"
    client.post("/api/v1/rag", json={"question": "Who counts ships?", "collection": "ships"}).raise_for_status()


def scrape(platform: Running) -> dict[str, Metric]:
    with platform.client(key=TOKEN) as client:
        text = client.get("/metrics").raise_for_status().text
    return {family.name: family for family in text_string_to_metric_families(text)}


def total(scraped: Mapping[str, Metric], name: str, sample: str = "_total", **labels: str) -> float:
    return sum(
        each.value for each in scraped[name].samples if each.name == name + sample and labels.items() <= each.labels.items()
    )


def test_the_counts_are_the_ledger_s_and_the_provider_s(platform: Running, fakes: tuple[OpenAIFake, OpenAIFake]) -> None:
    scraped = scrape(platform)
    with platform.client() as client:
        lines = client.get("/api/v1/usage", params={"group_by": "provider,alias"}).raise_for_status().json()["results"]
    assert total(scraped, "genai_provider_attempts") == sum(line["attempts"] for line in lines)
    for number, name in enumerate(("good", "bad")):
        seen = total(scraped, "genai_provider_attempts", provider=f"openai_compatible:{name}")
        assert seen == len(fakes[number].asked) > 0
    by_class = {name: total(scraped, "genai_tokens", **{"class": name}) for name in ("input", "cached", "output")}
    assert sum(by_class.values()) == sum(line["input_tokens"] + line["output_tokens"] for line in lines)
    assert by_class["output"] == sum(line["output_tokens"] for line in lines) > 0
    spent = sum((Decimal(str(line["cost_usd"])) for line in lines), Decimal(0))
    assert total(scraped, "genai_cost_usd") == pytest.approx(float(spent), rel=1e-12)
    assert spent > 0
    unpriced = total(scraped, "genai_provider_unpriced_attempts")
    assert unpriced == sum(line["unpriced"] for line in lines) > 0
    hits = total(scraped, "genai_cache_requests", alias="kept", result="hit")
    assert hits == sum(line["cached"] for line in lines) == 2
    assert total(scraped, "genai_cache_requests", alias="kept", result="miss") == 1


def test_answers_are_counted_by_door_and_errors_by_code(platform: Running) -> None:
    scraped = scrape(platform)
    assert total(scraped, "genai_requests", capability="chat", door="openai", status="200") == 6
    assert total(scraped, "genai_requests", capability="chat", door="langserve", status="200") == 3
    assert total(scraped, "genai_request_first_token_seconds", "_count", capability="chat") == 6
    assert total(scraped, "genai_errors", capability="chat", code="provider_failed", status="502") == 1
    assert total(scraped, "genai_errors", code="model_not_found") == 1
    assert total(scraped, "genai_request_overhead_seconds", "_count") > 0


def test_jobs_of_the_worker_inside_are_in_it(platform: Running) -> None:
    scraped = scrape(platform)
    ended = {
        each.labels["outcome"]: each.value
        for each in scraped["genai_job_duration_seconds"].samples
        if each.name.endswith("_count") and each.labels["kind"] == "ingestion"
    }
    assert ended == {"succeeded": 1, "failed": 1}


def test_every_part_answers_and_every_metric_is_there(platform: Running) -> None:
    scraped = scrape(platform)
    silent = [each.labels["source"] for each in scraped["genai_metrics_source_up"].samples if each.value != 1]
    assert silent == []
    # what nothing has happened of yet has no series, and is named all the same
    assert [family.name for family in FAMILIES if family.name not in scraped] == []
    assert total(scraped, "process_resident_memory_bytes", "") > 50 * 2**20
    assert total(scraped, "genai_provider_connections_limit", "", provider="openai_compatible:good") >= 100


def test_the_listener_of_its_own_tells_the_same(platform: Running) -> None:
    found = re.search(r'"port":(\d+)[^\n]*"event":"metrics.listening"|metrics.listening[^\n]*"port":(\d+)', platform.output())
    assert found is not None, platform.tail()
    address = f"http://127.0.0.1:{found[1] or found[2]}/metrics"
    assert httpx.get(address, trust_env=False).status_code == 401
    answer = httpx.get(address, headers={"authorization": f"Bearer {TOKEN}"}, trust_env=False)
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    assert total(families, "genai_provider_attempts") == total(scrape(platform), "genai_provider_attempts")


def test_what_rules_and_dashboards_ask_for_is_told(platform: Running) -> None:
    told = {sample.name for family in scrape(platform).values() for sample in family.samples}
    recorded = {rule["record"] for rule in observed.rules() if "record" in rule}
    asked = [*observed.asked_by_dashboards(), *observed.asked_by_rules()]
    assert len(asked) > 60
    named = {(where, name) for where, asking in asked for name in re.findall(r"\b(?:genai|process)[_:][a-z0-9_:]+", asking)}
    assert sorted(pair for pair in named if pair[1] not in told | recorded) == []


def test_each_alert_has_its_runbook() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "docs/runbooks.md").read_text(), re.MULTILINE)
    alerts = [rule for rule in observed.rules() if "alert" in rule]
    named = {rule["alert"] for rule in alerts}
    assert named <= set(headings) <= named | {kind.value for kind in AlertKind}
    assert {rule["annotations"]["runbook_url"] for rule in alerts} == {f"docs/runbooks.md#{name.lower()}" for name in named}


def test_rules_hold_what_their_unit_tests_say() -> None:
    promtool = str(observed.prometheus_folder() / "promtool")
    for arguments in (["check", "rules", *map(str, observed.RULES)], ["test", "rules", "infra/prometheus/alerts-test.yml"]):
        done = subprocess.run([promtool, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_real_prometheus_has_an_answer_to_every_panel_and_rule(platform: Running, tmp_path: Path) -> None:
    asked = [*observed.asked_by_dashboards(), *observed.asked_by_rules()]
    with observed.prometheus(tmp_path, f"127.0.0.1:{platform.port}", TOKEN) as prometheus:

        def unanswered() -> list[str]:
            return [f"{where}: {asking}" for where, asking in asked if not prometheus.query(asking)]

        try:
            wait_until(lambda: not unanswered(), within_s=60, what="an answer to every expression")
        except TimeoutError:
            assert unanswered() == []
        assert prometheus.problems() == []
        assert prometheus.total("sum(genai_provider_attempts_total)") == total(scrape(platform), "genai_provider_attempts")
