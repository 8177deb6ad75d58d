"""Spans as the platform's code makes them."""

import asyncio
from collections.abc import Callable

import pytest

from core import bridge, traces
from core.errors import NotFound
from core.threads import run_to_end
from core.traces.seam import Kind
from core.traces.sending import Tracing
from tests.collector import Sent, Tree

SpansSent = Callable[[], list[Sent]]
ABOVE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
UNCHOSEN = ABOVE[:-1] + "0"


def test_without_tracing_nothing_is_made() -> None:
    assert (traces.are_on(), traces.trace_id(), traces.carried(), traces.begin("x")) == (False, None, None, None)
    with traces.span("x") as span, traces.within(span), traces.joining("y", ABOVE) as job:
        assert span is job is None
    traces.end(span)


def test_nothing_is_begun_where_nothing_is_recorded(tracing: Tracing, sent: SpansSent) -> None:
    with traces.span("alone") as alone, traces.joining("job", UNCHOSEN), traces.span("below") as below:
        assert traces.carried() is not None
        assert traces.trace_id() == ABOVE.split("-")[1]
    assert alone is below is None
    assert sent() == []


def test_work_joins_the_trace_that_asked_for_it(tracing: Tracing, sent: SpansSent) -> None:
    other = "00-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-bbbbbbbbbbbbbbbb-01"
    with traces.joining("job", ABOVE, link=other), traces.span("step", kind=Kind.CLIENT):
        pass
    job, step = sent()
    assert (job.trace_id, job.parent_id, job.kind) == (*ABOVE.split("-")[1:3], "CONSUMER")
    assert job.links == [tuple(other.split("-")[1:3])]
    assert (step.parent_id, step.kind) == (job.span_id, "CLIENT")


@pytest.mark.parametrize("told", [None, "", "nonsense", "00-0-0-01"], ids=["none", "empty", "nonsense", "short"])
def test_work_that_nobody_asked_for_has_a_trace_of_its_own(tracing: Tracing, sent: SpansSent, told: str | None) -> None:
    with traces.joining("job", told):
        pass
    assert sent()[0].parent_id == ""


def test_a_failure_is_told_by_its_code_and_never_by_its_message(tracing: Tracing, sent: SpansSent) -> None:
    def step() -> None:
        with traces.span("step"):
            raise ValueError("a secret")

    def work() -> None:
        with traces.joining("job", ABOVE):
            try:
                step()
            except ValueError as error:
                raise NotFound("a secret") from error

    with pytest.raises(NotFound):
        work()
    job, below = sent()
    assert (job.failed, job.attributes["error.type"]) == (True, "not_found")
    assert (below.failed, below.attributes["error.type"]) == (True, "ValueError")


async def test_being_cancelled_is_no_failure(tracing: Tracing, sent: SpansSent) -> None:
    async def wait() -> None:
        with traces.joining("job", ABOVE):
            await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    (job,) = sent()
    assert (job.failed, job.attributes) == (False, {"genai.cancelled": True})


async def test_threads_tasks_and_other_loops_know_what_they_are_part_of(tracing: Tracing, sent: SpansSent) -> None:
    def step(name: str) -> None:
        with traces.span(name):
            pass

    async def afar() -> None:
        step("on another loop")

    async def streamed() -> None:
        step("in a task")

    async def pieces():
        step("in a stream")
        yield 1

    with traces.joining("job", ABOVE):
        await run_to_end(step, "in a thread")
        await asyncio.to_thread(bridge.call, afar(), None)
        await asyncio.create_task(streamed())
        await asyncio.to_thread(lambda: list(bridge.iterate(pieces, None)))
    tree = Tree(sent())
    names = ("in a thread", "on another loop", "in a task", "in a stream")
    assert [tree.above(tree.one(name)) for name in names] == [["job"]] * 4
