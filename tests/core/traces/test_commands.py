"""Commands to Redis in a trace, and messages that carry one."""

from collections.abc import Callable, Iterator

import pytest
from redis import Redis
from redis.exceptions import ResponseError

from core import traces
from core.queue import NAMESPACE, Queue
from core.redis_batches import ScriptBatches
from core.redis_clients import RedisClients
from core.settings import Settings
from core.traces.sending import Tracing
from core.valkey import EmbeddedValkey
from tests.collector import Sent, Tree


@pytest.fixture
def redis_url(settings: Settings) -> Iterator[str]:
    valkey = EmbeddedValkey(settings)
    yield valkey.start()
    valkey.close()


ABOVE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def test_commands_and_pipelines_are_told_without_keys_and_values(
    tracing: Tracing, redis_url: str, sent: Callable[[], list[Sent]]
) -> None:
    clients = RedisClients(redis_url)
    with traces.joining("job", ABOVE):
        await clients.get().set("canary-key", "canary-value", ex=60)
        async with clients.get().pipeline(transaction=False) as pipeline:
            pipeline.get("canary-key").get("canary-key")
            assert await pipeline.execute() == [b"canary-value"] * 2
        with pytest.raises(ResponseError):
            await clients.get().lpush("canary-key", "canary-value")
    await clients.close()
    tree = Tree(sent())
    assert tree.one("SET").attributes == {"db.system.name": "redis", "db.operation.name": "SET"}
    assert tree.one("GET").attributes["db.operation.batch.size"] == 2
    assert tree.one("LPUSH").failed
    assert [tree.above(span) for span in tree.spans[1:]] == [["job"]] * 3
    assert "canary" not in str(tree.spans)


async def test_scripts_that_go_together_are_told_by_who_is_recorded(
    tracing: Tracing, redis_url: str, sent: Callable[[], list[Sent]]
) -> None:
    clients = RedisClients(redis_url)
    batches = ScriptBatches(clients)
    assert await batches.run("return 1", [], []) == 1
    with traces.joining("request", ABOVE):
        assert await batches.run("return 1", [], []) == 1
    assert await batches.run("return 1", [], []) == 1
    await clients.close()
    (told, request) = sorted(sent(), key=lambda span: span.name)
    assert (told.name, told.parent_id) == ("EVALSHA", request.span_id), "the other two are nobody's"


async def test_a_message_carries_where_it_came_from(tracing: Tracing, redis_url: str, sent: Callable[[], list[Sent]]) -> None:
    queue = Queue(redis_url)
    with traces.joining("request", ABOVE):
        assert await queue.send("nobody", "canary-argument", queue="traced")
    client = Redis.from_url(redis_url)
    ((_, message),) = client.hgetall(f"{NAMESPACE}:traced.msgs").items()  # type: ignore[union-attr]
    client.close()
    queue.close()
    (request, sending) = sent()
    assert (sending.kind, sending.parent_id) == ("PRODUCER", request.span_id)
    assert f'"traceparent":"00-{sending.trace_id}-{sending.span_id}-01"'.encode() in message.replace(b": ", b":")
