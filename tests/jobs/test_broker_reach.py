"""A worker's broker that goes and comes back is told of once, whatever the number of its queues."""

from typing import Any

import pytest
import redis
from dramatiq import Consumer
from dramatiq.errors import ConnectionClosed
from structlog.testing import capture_logs

from jobs.broker_reach import BrokerReach, ToldConsumer


class Queue(Consumer):
    """Gives or raises what it is told to."""

    def __init__(self, *then: Exception | None) -> None:
        self._then = list(then)

    def __next__(self) -> Any:
        found = self._then.pop(0)
        if found is not None:
            raise found
        return None


def test_each_change_is_told_once_for_all_queues() -> None:
    reach = BrokerReach()
    queues = [ToldConsumer(Queue(redis.TimeoutError(), redis.TimeoutError(), None), str(number), reach) for number in range(2)]
    with capture_logs() as logs:
        for _ in range(2):
            for queue in queues:
                with pytest.raises(ConnectionClosed):
                    next(queue)
        next(queues[0])
        assert [line["event"] for line in logs] == ["worker.broker_away"], "one queue is away still"
        next(queues[1])
    assert [line["event"] for line in logs] == ["worker.broker_away", "worker.broker_back"]


def test_what_else_fails_is_left_to_dramatiq() -> None:
    reach = BrokerReach()
    with capture_logs() as logs, pytest.raises(ValueError, match="odd"):
        next(ToldConsumer(Queue(ValueError("odd")), "a", reach))
    assert logs == []
