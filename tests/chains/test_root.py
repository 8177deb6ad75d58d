import asyncio
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from pydantic import BaseModel, Field

from chains.forms import DictForm, TextForm
from chains.root import Interface, OpaqueRoot, opaque
from chains.spec import Delta
from core.context import RequestContext, Usage, current, serving
from core.deadline import Deadline
from core.errors import DeadlineExceeded, Internal, InvalidRequest, RateLimited
from core.principals import SYSTEM

CANARY = "planted-prompt-that-nobody-may-see"


class Question(BaseModel):
    question: str = Field(min_length=1)


class Found(BaseModel):
    output: str
    citations: list[str] = []


async def find(asked: Question) -> AsyncIterator[Delta]:
    """Calls a model with a prompt of its own, streams its words, then tells the citations."""
    if asked.question == "busy":
        raise RateLimited("All slots are taken.", code="queue_full", retry_after_s=3)
    model = GenericFakeChatModel(messages=iter([AIMessage(f"you asked {asked.question}")]))
    text = ""
    async for chunk in model.astream(f"{CANARY} {asked.question}"):
        text += str(chunk.content)
        yield Delta(text=str(chunk.content))
        if asked.question == "cut":
            raise RateLimited("The provider hung up.")
        if asked.question == "mistake":
            raise ZeroDivisionError
    current().called(provider="fake", model="m1", usage=Usage(3, 2), cost_usd=Decimal("0.5"), seconds=0.1)
    yield Delta(data={"citations": ["a"]})
    yield Delta(final=Found(output=text, citations=["a"]))


def root() -> OpaqueRoot:
    return opaque("find", find, input_type=Question, output_type=Found)


WHOLE = {
    "output": "you asked why",
    "citations": ["a"],
    "model": "m1",
    "provider": "fake",
    "usage": {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5},
    "cost_usd": 0.5,
}


async def test_invoke_gives_the_answer_and_its_accounting() -> None:
    assert await root().ainvoke({"question": "why"}) == WHOLE


async def test_the_chunks_of_a_stream_add_up_to_the_answer() -> None:
    chunks = [chunk async for chunk in root().astream({"question": "why"})]
    total = chunks[0]
    for chunk in chunks[1:]:
        total = total + chunk
    assert total == WHOLE
    assert len(chunks) > 3


async def test_synchronous_calls_work_inside_a_running_loop() -> None:
    assert root().invoke({"question": "why"}) == WHOLE
    assert "".join(chunk.get("output", "") for chunk in root().stream({"question": "why"})) == "you asked why"
    assert root().batch([{"question": "why"}] * 2) == [WHOLE, WHOLE]


async def test_a_call_from_another_thread_runs_on_the_loop_where_the_root_was_made() -> None:
    loops = []

    async def note(asked: Question) -> AsyncIterator[Delta]:
        loops.append(asyncio.get_running_loop())
        yield Delta(final={"output": asked.question})

    made = opaque("note", note, input_type=Question, output_type=Found)
    await asyncio.to_thread(made.invoke, {"question": "why"})
    assert await asyncio.to_thread(lambda: len(list(made.stream({"question": "why"})))) == 1
    assert loops == [asyncio.get_running_loop()] * 2


def test_synchronous_calls_work_without_any_loop() -> None:
    assert root().invoke({"question": "why"})["output"] == "you asked why"


async def test_a_failure_in_the_middle_of_a_stream_is_raised_as_the_typed_error() -> None:
    stream = root().astream({"question": "cut"})
    assert await anext(stream) == {"output": "you"}
    with pytest.raises(RateLimited, match="hung up"):
        await anext(stream)


def test_a_failure_in_a_synchronous_stream_is_the_same_error() -> None:
    with pytest.raises(RateLimited, match="hung up"):
        list(root().stream({"question": "cut"}))


async def test_a_mistake_of_our_own_becomes_an_internal_error() -> None:
    with pytest.raises(Internal) as caught:
        await root().ainvoke({"question": "mistake"})
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


async def test_a_batch_can_give_errors_in_their_places() -> None:
    answers = await root().abatch([{"question": "why"}, {"question": "busy"}, {"question": ""}], return_exceptions=True)
    assert answers[0] == WHOLE
    assert isinstance(answers[1], RateLimited)
    assert answers[1].code == "queue_full"
    assert isinstance(answers[2], InvalidRequest)
    assert answers[2].param == "question"


async def test_the_first_failure_of_a_batch_is_raised_and_cancels_the_rest() -> None:
    cancelled = asyncio.Event()

    async def work(asked: Question) -> AsyncIterator[Delta]:
        if asked.question == "bad":
            raise RateLimited("no")
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        yield Delta()

    made = opaque("work", work, input_type=Question, output_type=Found)
    with pytest.raises(RateLimited):
        await made.abatch([{"question": "waits"}, {"question": "bad"}])
    assert cancelled.is_set()


async def test_a_batch_runs_no_more_at_once_than_asked() -> None:
    running = most = 0

    async def work(asked: Question) -> AsyncIterator[Delta]:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        yield Delta(final={"output": "x"})

    made = opaque("work", work, input_type=Question, output_type=Found)
    await made.abatch([{"question": "q"}] * 12, {"max_concurrency": 3})
    assert most == 3


async def test_no_event_shows_what_happens_inside() -> None:
    events = [event async for event in root().astream_events({"question": "why"}, version="v2")]
    assert {event["name"] for event in events} == {"find"}
    assert events[0]["event"] == "on_chain_start"
    assert events[-1]["event"] == "on_chain_end"
    assert events[-1]["data"]["output"] == WHOLE
    assert sum(event["event"] == "on_chain_stream" for event in events) > 3
    assert CANARY not in repr(events)
    patches = [patch async for patch in root().astream_log({"question": "why"})]
    assert CANARY not in repr(patches)
    assert "asked" in repr(patches)


async def test_a_callers_callbacks_see_the_root_alone() -> None:
    class Watcher(BaseCallbackHandler):
        def __init__(self) -> None:
            self.seen: list[Any] = []

        def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
            self.seen.append(("chain", inputs))

        def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> None:
            self.seen.append(("model", messages))

    watcher = Watcher()
    await root().ainvoke({"question": "why"}, {"callbacks": [watcher]})
    async for _ in root().astream({"question": "why"}, {"callbacks": [watcher]}):
        pass
    assert [kind for kind, _ in watcher.seen] == ["chain", "chain"]
    assert CANARY not in repr(watcher.seen)


async def test_each_run_of_a_batch_keeps_its_own_accounting_and_the_request_has_the_sum() -> None:
    with serving(RequestContext("req", SYSTEM)) as request:
        answers = await root().abatch([{"question": "why"}] * 3)
    assert [answer["usage"]["total_tokens"] for answer in answers] == [5, 5, 5]
    assert request.usage.total_tokens == 15
    assert request.cost_usd == Decimal("1.5")
    assert request.model == "m1"


async def test_an_abandoned_stream_closes_what_runs_inside_and_keeps_its_accounting() -> None:
    closed = asyncio.Event()

    async def work(asked: Question) -> AsyncIterator[Delta]:
        try:
            yield Delta(text="a")
            yield Delta(text="b")
        finally:
            current().called(provider="fake", model="m1", usage=Usage(1, 1), cost_usd=None, seconds=0)
            closed.set()

    made = opaque("work", work, input_type=Question, output_type=Found)
    with serving(RequestContext("req", SYSTEM)) as request:
        stream = made.astream({"question": "q"})
        await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]
    assert closed.is_set()
    assert request.usage.total_tokens == 2


def test_closing_a_synchronous_stream_cancels_the_work() -> None:
    import threading

    closed = threading.Event()

    async def work(asked: Question) -> AsyncIterator[Delta]:
        try:
            yield Delta(text="a")
            await asyncio.Event().wait()
        finally:
            closed.set()

    stream = opaque("work", work, input_type=Question, output_type=Found).stream({"question": "q"})
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert closed.wait(5)


async def test_text_that_leads_to_the_answer_streams_beside_it() -> None:
    async def work(asked: Question) -> AsyncIterator[Delta]:
        yield Delta(text="thin")
        yield Delta(text="king")
        yield Delta(final={"output": {"code": "x"}})

    made = opaque("work", work, input_type=Question, output_type=Any, form=lambda: DictForm(text_key="draft"))
    chunks = [chunk async for chunk in made.astream({"question": "q"})]
    assert "".join(chunk.get("draft", "") for chunk in chunks) == "thinking"
    assert chunks[-1]["output"] == {"code": "x"}


async def test_a_text_answer_streams_as_strings_that_add_up() -> None:
    async def work(asked: Question) -> AsyncIterator[Delta]:
        yield Delta(text="one ")
        yield Delta(final="one two")

    made = opaque("work", work, input_type=Question, output_type=str, form=TextForm)
    assert [chunk async for chunk in made.astream({"question": "q"})] == ["one ", "two"]
    assert await made.ainvoke({"question": "q"}) == "one two"


async def test_an_answer_without_an_end_is_an_internal_error() -> None:
    async def work(asked: Question) -> AsyncIterator[Delta]:
        yield Delta(text="one ")

    with pytest.raises(Internal):
        await opaque("work", work, input_type=Question, output_type=str, form=TextForm).ainvoke({"question": "q"})


async def test_the_flat_answer_has_the_accounting_beside_the_output() -> None:
    deltas = [delta async for delta in root().answer({"question": "why"})]
    assert deltas[-1].final == WHOLE
    assert {"citations": ["a"]} in [delta.data for delta in deltas]


def in_time(answer: Callable[[Any], AsyncIterator[Delta]], total_s: float) -> OpaqueRoot:
    return OpaqueRoot("find", answer, Interface(Question, Found, DictForm, Question), total_s=total_s)


async def test_a_step_that_asks_no_model_ends_with_the_time_of_the_request_too() -> None:
    closed: list[bool] = []

    async def search(asked: Question) -> AsyncIterator[Delta]:
        try:
            await asyncio.Event().wait()
        finally:
            closed.append(True)
        yield Delta(final=Found(output=""))

    with pytest.raises(DeadlineExceeded):
        await in_time(search, 0.05).ainvoke({"question": "why"})
    with pytest.raises(DeadlineExceeded):
        _ = [chunk async for chunk in in_time(search, 0.05).astream({"question": "why"})]
    assert closed == [True, True]


async def test_a_time_out_of_a_step_of_its_own_is_no_deadline() -> None:
    async def search(asked: Question) -> AsyncIterator[Delta]:
        raise TimeoutError
        yield Delta()

    with pytest.raises(Internal):
        await in_time(search, 60).ainvoke({"question": "why"})


async def test_steps_of_a_request_share_its_deadline_and_each_input_of_a_batch_has_its_own() -> None:
    seen: list[Deadline | None] = []

    async def look(asked: Question) -> AsyncIterator[Delta]:
        seen.extend([current().deadline, current().beside().deadline, current().due(1000)])
        await asyncio.sleep(0)
        yield Delta(final=Found(output="x"))

    await in_time(look, 60).abatch([{"question": "a"}, {"question": "b"}], {"max_concurrency": 1})
    assert None not in seen
    assert seen[0] == seen[1] == seen[2] != seen[3] == seen[4] == seen[5]
    seen.clear()
    sooner = Deadline.after(5)
    with serving(RequestContext(request_id="-", principal=SYSTEM, deadline=sooner)):
        await in_time(look, 60).ainvoke({"question": "a"})
        assert current().due(1).at < sooner.at
    assert seen == [sooner] * 3
