"""A worker of its own is scraped at a port of its own."""

from collections.abc import Iterator

import httpx
import pytest

from core import metrics
from core.ledger import Ledger
from core.redis_clients import RedisClients
from core.settings import Settings
from core.valkey import EmbeddedValkey
from jobs.worker import _measured
from providers.models import Models


@pytest.fixture
def redis_url(settings: Settings) -> Iterator[str]:
    valkey = EmbeddedValkey(settings)
    yield valkey.start()
    valkey.close()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_it_tells_its_metrics_while_it_works(
    settings: Settings, redis_url: str, unused_tcp_port: int, database: object
) -> None:
    configured = Settings.load(data_dir=settings.data_dir, metrics={"port": unused_tcp_port})
    book, models, clients = Ledger(configured), Models(configured), RedisClients(redis_url)
    with _measured(configured, redis_url, clients, book, models):
        assert metrics.are_counted()
        text = httpx.get(f"http://127.0.0.1:{unused_tcp_port}/metrics", trust_env=False).text
    assert not metrics.are_counted()
    book.close()
    up = [line for line in text.splitlines() if line.startswith("genai_metrics_source_up")]
    assert len(up) == 9
    assert all(line.endswith(" 1.0") for line in up), up
    with _measured(settings, redis_url, clients, book, models):
        assert not metrics.are_counted()
