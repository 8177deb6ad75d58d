"""Every capability through every door, while the first deployment breaks off in the middle: whoever asks for no stream gets
the whole answer."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import pytest_asyncio

from core.child import close_children
from core.context import RequestContext, serving
from core.database import Database
from core.deadline import Deadline
from core.errors import DeadlineExceeded
from core.principals import SYSTEM
from core.settings import Settings
from tests.contract.capability_ways import NAMES, WAYS, House, example, house
from tests.contract.faults import BRIEF
from tests.fakes.clouds import PATIENT
from tests.fakes.openai import OpenAIFake
from tests.fakes.wire import Break, Fault, Reply

#: Code that parses, and words that answer.
ANSWER = Reply("You have 28 days of paid annual leave [1].\n\n```python\ndef add(a, b):\n    return a + b\n```\n")
FAULTS = (Fault.CUT, Fault.STALLED)


@pytest.fixture(scope="module")
def first() -> Iterator[OpenAIFake]:
    with OpenAIFake() as fake:
        yield fake


@pytest.fixture(scope="module")
def second() -> Iterator[OpenAIFake]:
    with OpenAIFake() as fake:
        yield fake


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def opened(
    first: OpenAIFake,
    second: OpenAIFake,
    tmp_path_factory: pytest.TempPathFactory,
    with_schema: Callable[[Settings], Settings],
) -> AsyncIterator[House]:
    deployments = [
        {"provider": "openai_compatible:first", "model": "gpt-4o", "timeouts": BRIEF.model_dump()},
        {"provider": "openai_compatible:second", "model": "gpt-4o", "timeouts": PATIENT.model_dump()},
    ]
    settings = Settings.load(
        data_dir=tmp_path_factory.mktemp("data"),
        models=[{"alias": "default", "deployments": deployments}, {"alias": "second", "deployments": deployments[1:]}],
        providers={
            "openai_compatible:first": {"base_url": first.base_url},
            "openai_compatible:second": {"base_url": second.base_url},
        },
        timeouts=PATIENT,
        breaker={"failures": 1_000_000, "window_calls": 1_000_000},
    )
    with_schema(settings)
    database = Database(settings)
    async with house(settings, database) as ready:
        yield ready
    await database.close()
    close_children()


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", NAMES)
async def test_who_asks_for_no_stream_gets_the_whole_answer(
    opened: House, first: OpenAIFake, second: OpenAIFake, name: str, fault: Fault
) -> None:
    for fake in (first, second):
        fake.clear()
        fake.always(ANSWER)
    whole = (await WAYS[0](opened, name))[0]
    assert whole
    first.clear()
    first.always(Break(fault, -1, ANSWER))
    opened.heal()
    answers = await asyncio.gather(*(way(opened, name) for way in WAYS))
    assert first.asked, "the one that falls ill was not asked"
    given = {way.__name__: each for way, each in zip(WAYS, answers, strict=True)}
    assert given == {way: [whole] * len(each) for way, each in given.items()}
    assert {way for way, each in given.items() if not each} <= {"by_openai", "by_row_of_openai"}


@pytest.mark.asyncio(loop_scope="module")
async def test_a_step_whose_pieces_nobody_sees_starts_again_within_a_stream_too(
    opened: House, first: OpenAIFake, second: OpenAIFake
) -> None:
    for fake in (first, second):
        fake.clear()
    opened.heal()
    first.then(Reply("```python\ndef add(a, b)\n    return\n```"), Break(Fault.CUT, -1, ANSWER))
    second.always(ANSWER)
    answer = await opened.client.post("/api/v1/code/generate", json=example("code/generate") | {"stream": True})
    name, data = [block.split("\n") for block in answer.text.strip().split("\n\n")][-1]
    assert name == "event: done"
    assert json.loads(data.removeprefix("data: "))["output"]["valid"] is True
    assert (len(first.asked), len(second.asked)) == (2, 1)


@pytest.mark.asyncio(loop_scope="module")
class TestOneDeadlineForAll:
    """Two model calls, each within the time of a request, and both together over it."""

    TOTAL_S = 1.6

    def _slow(self, opened: House, second: OpenAIFake) -> None:
        opened.heal()
        second.clear()
        broken = "```python\ndef add(a, b)\n    return\n```"
        second.then(Reply(broken, first_token_s=0.2)).always(Reply(ANSWER.text, first_token_s=1.5))

    async def test_a_question_that_was_rewritten_first(self, opened: House, second: OpenAIFake) -> None:
        second.clear()
        second.always(ANSWER)
        asked = example("rag") | {"model": "second", "session_id": "followed"}
        await opened.roots["rag"].ainvoke(asked)
        self._slow(opened, second)
        asked["question"] = "And how long is sick pay continued?"
        with pytest.raises(DeadlineExceeded):
            await self._ask(opened, "rag", asked)
        assert len(second.asked) == 2

    async def test_code_that_could_not_be_repaired_in_time_says_what_is_wrong_with_it(
        self, opened: House, second: OpenAIFake
    ) -> None:
        self._slow(opened, second)
        answer = await self._ask(opened, "code/generate", {"model": "second", "instruction": "add"})
        assert answer["output"]["valid"] is False
        assert answer["output"]["problems"]
        assert len(second.asked) == 2

    async def _ask(self, house: House, name: str, asked: dict[str, Any]) -> Any:
        with serving(RequestContext(request_id="-", principal=SYSTEM, deadline=Deadline.after(self.TOTAL_S))):
            return await house.roots[name].ainvoke(asked)
