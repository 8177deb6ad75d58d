"""Jobs in the traces of the requests that made them."""

from collections.abc import Callable, Iterator

import pytest

from core import traces
from core.tables import Job
from core.traces.sending import Tracing
from jobs.ingestion import ingest_document
from jobs.joining import came_by, joined
from tests.collector import Sent, Tree
from tests.desks import Desk, note

REQUEST = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
EARLIER = "00-4bf92f3577b34da6a3ce929d0e0e4736-aaaaaaaaaaaaaaaa-01"
ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture(autouse=True)
def carried() -> Iterator[None]:
    token = came_by.set(None)
    yield
    came_by.reset(token)


@ON_SQLITE
async def test_what_a_worker_does_is_below_the_request(tracing: Tracing, sent: Callable[[], list[Sent]], desk: Desk) -> None:
    with traces.joining("request", REQUEST), desk.worker():
        job, _ = await desk.add(note("a.md"))
        await desk.finished(job.id)
    tree = Tree(sent())
    assert tree.above(tree.one("process document")) == ["request"], tree.drawn()
    sent_from = [tree.above(span) for span in tree.spans if span.name == "send ingestion"]
    assert ["request"] in sent_from  # the sweeper may find that it was not begun, and send it again


@ON_SQLITE
async def test_a_document_whose_message_was_lost_is_in_its_own_jobs_trace(
    tracing: Tracing, sent: Callable[[], list[Sent]], desk: Desk
) -> None:
    with traces.joining("request", REQUEST):
        job, (document,) = await desk.add(note("a.md"))
    came_by.set("00-bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-bbbbbbbbbbbbbbbb-01")  # another document's
    await ingest_document(desk.context, document.id, document.revision)
    process = Tree([span for span in sent() if span.trace_id == REQUEST.split("-")[1]]).one("process document")
    assert process.attributes["genai.job.id"] == job.id
    assert process.links == [("b" * 32, "b" * 16)]


@pytest.mark.parametrize(
    ("row", "message", "parent", "links"),
    [
        (REQUEST, EARLIER, REQUEST, [EARLIER]),
        (REQUEST, REQUEST, REQUEST, []),
        (REQUEST, None, REQUEST, []),
        (None, EARLIER, EARLIER, []),
        (None, None, None, []),
    ],
    ids=["retry", "same", "swept", "message", "nobody"],
)
def test_the_row_decides_and_the_message_is_linked(
    tracing: Tracing,
    sent: Callable[[], list[Sent]],
    row: str | None,
    message: str | None,
    parent: str | None,
    links: list[str],
) -> None:
    came_by.set(message)
    with joined(Job(owner="o", kind="ingestion", traceparent=row), "document", 2):
        pass
    (span,) = sent()
    assert span.parent_id == (parent.split("-")[2] if parent else "")
    assert span.links == [tuple(link.split("-")[1:3]) for link in links]
    assert (span.name, span.attributes["genai.attempt"]) == ("process document", 2)
