"""The listener for metrics alone, and who may read them."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from core.metrics.exposition import Exposition
from core.metrics.listener import Listener
from core.metrics.recorder import Recorder
from core.metrics.sources import Sources
from core.settings import MetricsSettings, Settings, SettingsError
from core.transport.plaintext import check_metrics_listening

TOKEN = "a-token-that-prometheus-shows-us-here"
Listen = Callable[..., str]


@pytest.fixture
def listen() -> Iterator[Listen]:
    """Starts a listener with some settings; its address."""
    with ExitStack() as stack:

        def start(**told: Any) -> str:
            settings = MetricsSettings(port=0, **told)
            listener = Listener(settings, Exposition(settings, Recorder(), Sources()))
            stack.callback(listener.close)
            host = f"[{settings.host}]" if ":" in settings.host else settings.host
            return f"http://{host}:{listener.port}"

        yield start


def get(url: str, **headers: str) -> httpx.Response:
    return httpx.get(url, headers=headers, trust_env=False)


def test_without_a_token_whoever_reaches_it_reads(listen: Listen) -> None:
    answer = get(f"{listen()}/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    assert "genai_requests" in {family.name for family in text_string_to_metric_families(answer.text)}


def test_with_a_token_only_who_shows_it(listen: Listen) -> None:
    address = f"{listen(token=TOKEN)}/metrics"
    for shown in ({}, {"authorization": "Bearer wrong"}, {"authorization": TOKEN}):
        answer = get(address, **shown)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_key")
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert get(address, authorization=f"Bearer {TOKEN}").status_code == 200


def test_nothing_else_is_there(listen: Listen) -> None:
    answer = get(f"{listen()}/api/v1/health")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


def test_openmetrics_for_who_asks_for_it(listen: Listen) -> None:
    answer = get(f"{listen()}/metrics", accept="application/openmetrics-text; version=1.0.0")
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


def test_a_port_that_is_taken_is_told_with_its_setting(listen: Listen) -> None:
    port = int(listen().rpartition(":")[2])
    settings = MetricsSettings(port=port)
    with pytest.raises(SettingsError, match="GENAI_METRICS__PORT"):
        Listener(settings, Exposition(settings, Recorder(), Sources()))


@pytest.mark.parametrize(
    ("metrics", "tls", "problem"),
    [
        ({"port": 9464, "host": "0.0.0.0"}, {}, "would read the metrics"),
        ({"port": 9464, "host": "0.0.0.0", "token": TOKEN}, {}, "in plaintext"),
        ({"port": 9464, "host": "0.0.0.0", "token": TOKEN}, {"allow_plaintext": ["0.0.0.0"]}, None),
        ({"port": 9464}, {}, None),
        ({"host": "0.0.0.0", "token": TOKEN}, {}, None),
    ],
    ids=["open", "plain", "allowed", "loopback", "no-listener"],
)
def test_beyond_this_machine_a_token_is_needed_and_not_sent_in_plaintext(
    settings: Settings, metrics: dict[str, Any], tls: dict[str, Any], problem: str | None
) -> None:
    given = Settings.load(data_dir=settings.data_dir, metrics=metrics, tls=tls)
    if problem is None:
        check_metrics_listening(given)
        return
    with pytest.raises(SettingsError, match=problem):
        check_metrics_listening(given)


def test_a_short_token_is_refused_and_one_in_a_file_is_read(settings: Settings) -> None:
    with pytest.raises(SettingsError, match="GENAI_METRICS__TOKEN"):
        Settings.load(data_dir=settings.data_dir, metrics={"token": "short"})
    path = settings.path("token")
    path.write_text(f"{TOKEN}\n")
    loaded = Settings.load(data_dir=settings.data_dir, metrics={"token": f"file:{path}"})
    assert loaded.metrics.token is not None
    assert loaded.metrics.token.get_secret_value() == TOKEN
    assert TOKEN not in json.dumps(loaded.model_dump(mode="json"))
