"""What is read for a scrape: one source that hangs or fails takes no other with it."""

import threading
import time
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from core.metrics import families
from core.metrics.sources import Reading, Sources


def healthy() -> Iterator[Reading]:
    yield Reading(families.BUDGETS, 7)


class Hanging:
    """A source that answers once it is let go."""

    def __init__(self) -> None:
        self.asked = 0
        self.go = threading.Event()

    def __call__(self) -> list[Reading]:
        self.asked += 1
        assert self.go.wait(30)
        return [Reading(families.LEDGER_WAITING, 1)]


def told(sources: Sources) -> dict[tuple[str, ...], float]:
    return {(reading.family.name, *reading.labels): reading.value for reading in sources.read()}


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    made = Hanging()
    yield made
    made.go.set()


def test_a_source_that_hangs_is_left_out_and_the_others_are_told(hanging: Hanging) -> None:
    sources = Sources(within_s=0.1)
    sources.add("hanging", hanging)
    sources.add("healthy", healthy)
    began = time.monotonic()
    found = told(sources)
    assert time.monotonic() - began < 5  # not the 30 s that it hangs for
    assert found == {("genai_budgets",): 7, (UP, "healthy"): 1, (UP, "hanging"): 0}


UP = families.SOURCE_UP.name


def test_one_that_hangs_is_not_asked_again_before_it_has_answered(hanging: Hanging) -> None:
    sources = Sources(within_s=0.05)
    sources.add("hanging", hanging)
    with capture_logs() as lines:
        assert [told(sources)[UP, "hanging"] for _ in range(3)] == [0, 0, 0]
        assert hanging.asked == 1
        hanging.go.set()
        patient = time.monotonic() + 10
        while not told(sources)[UP, "hanging"]:
            assert time.monotonic() < patient
    assert told(sources)[("genai_ledger_waiting_entries",)] == 1
    assert [line["event"] for line in lines] == ["metrics.source_silent", "metrics.source_back"]


def test_one_that_fails_is_told_as_silent() -> None:
    def failing() -> list[Reading]:
        raise OSError("away")

    sources = Sources()
    sources.add("failing", failing)
    sources.add("healthy", healthy)
    assert told(sources) == {("genai_budgets",): 7, (UP, "healthy"): 1, (UP, "failing"): 0}
    sources.remove("failing")
    assert (UP, "failing") not in told(sources)


def test_what_is_read_is_shown_with_its_labels() -> None:
    sources = Sources()
    sources.add("queues", lambda: [Reading(families.QUEUE, 3, ("ingestion",)), Reading(families.QUEUE, 4, ("batches",))])
    shown = {family.name: family for family in sources.collect()}
    samples = {sample.labels["queue"]: sample.value for sample in shown["genai_queue_messages"].samples}
    assert samples == {"ingestion": 3, "batches": 4}
