"""Searches and questions with the steps of their collection, with real stores and embeddings and a scripted chat model."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from chains.conversations import Conversations
from chains.retrieval.retrieval import Retrieval
from chains.spec import ChainDeps
from core.context import RequestContext, serving
from core.database import Database
from core.principals import SYSTEM
from core.settings import Settings
from core.tables import Collection
from providers.models import Models
from retrievers.steps.step import Retrieved
from tests.chains.asking import Desk, Place, add, desk


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """The embedding model; it holds no process and no connection that would have to be closed."""
    return Models(Settings.load(data_dir=tmp_path_factory.mktemp("models")))


@pytest.fixture
async def kept(prepared: Settings, models: Models) -> AsyncIterator[Place]:
    database = Database(prepared)
    yield Place(database, models)
    await database.close()


async def set_steps(it: Desk, **steps: Any) -> Collection:
    return await it.library.collections.update(SYSTEM, "company", settings={"retrieval": steps})


def retrieval(it: Desk, settings: Settings) -> Retrieval:
    models: Any = it.library.resources.models
    deps = ChainDeps(settings=settings, models=models, library=it.library, conversations=Conversations(it.library.database))
    return Retrieval(deps)


async def find(it: Desk, settings: Settings, query: str, *, limit: int = 3, **steps: Any) -> Retrieved:
    collection = await set_steps(it, **steps)
    return await retrieval(it, settings).find(collection, query, limit=limit)


def told(found: Retrieved) -> list[tuple[str, str | None]]:
    return [(step.name, step.skipped) for step in found.steps]


async def test_without_steps_it_is_the_search_and_no_model_is_asked(settings, kept):
    async with desk(settings, kept, small=False) as it:
        found = await find(it, settings, "annual leave")
        plain = await it.library.searcher.find(found.shelf, "annual leave", limit=3)
        assert (list(found.passages), found.steps, found.impaired) == (plain.passages, (), False)
        assert it.model.prompts == []


async def test_local_steps_are_taken_in_their_order(settings, kept):
    async with desk(settings, kept, small=False) as it:
        steps = {"expansion": {}, "mmr": {}, "time_decay": {}, "feedback": {}}
        found = await find(it, settings, "weight of the pump", **steps)
        assert told(found) == [("feedback", None), ("time_decay", None), ("mmr", None), ("expansion", None)]
        assert "18.5 kg" in found.passages[0].chunk.text
        assert len(found.passages) <= 3
        assert it.model.prompts == []


async def test_other_wordings_find_what_the_query_does_not(settings, kept):
    async with desk(settings, kept, "1. weight of the P200 pump\n2. kilograms", small=False) as it:
        found = await find(it, settings, "how heavy is the machine", multi_query={"queries": 2})
        assert told(found) == [("multi_query", None)]
        assert any("18.5 kg" in passage.chunk.text for passage in found.passages)
        assert "how heavy is the machine" in it.model.prompts[0][-1].text


async def test_each_question_of_a_question_brings_its_passage(settings, kept):
    async with desk(settings, kept, "How long is sick pay continued?\nWhat does the pump weigh?", small=False) as it:
        found = await find(it, settings, "sick pay, and the pump", limit=2, decomposition={})
        assert {passage.chunk.document for passage in found.passages} == {"leave.md", "pump.md"}


async def test_a_made_up_passage_leads_to_the_real_one(settings, kept):
    async with desk(settings, kept, "The P200 pump moves 200 litres of water and weighs 18.5 kg.", small=False) as it:
        found = await find(it, settings, "mass of the device", limit=1, hyde={})
        assert found.passages[0].chunk.document == "pump.md"
        assert told(found) == [("hyde", None)]


async def test_the_chat_model_judges(settings, kept):
    async with desk(settings, kept, "1: 0\n2: 10\n3: 0", small=False) as it:
        collection = await set_steps(it)
        plain = await retrieval(it, settings).find(collection, "annual leave", limit=3)
        found = await find(it, settings, "annual leave", rerank={})
        assert found.passages[0].chunk.id == plain.passages[1].chunk.id
        assert "<source number=" in it.model.prompts[0][-1].text


async def test_a_model_that_is_away_is_done_without_and_it_is_said(settings, kept):
    async with desk(settings, kept, small=False) as it:
        found = await find(it, settings, "I am busy: annual leave", multi_query={}, hyde={}, rerank={}, mmr={})
        assert told(found) == [("multi_query", "queue_full"), ("hyde", "queue_full"), ("rerank", "queue_full"), ("mmr", None)]
        assert found.impaired
        assert any("annual leave" in passage.chunk.text for passage in found.passages)


async def test_a_small_model_does_not_judge(settings, kept):
    async with desk(settings, kept, small=True) as it:
        found = await find(it, settings, "annual leave", rerank={})
        assert told(found) == [("rerank", "model_too_small")]


async def test_a_model_that_the_key_is_not_for_is_not_asked(settings, kept):
    from dataclasses import replace

    caller = replace(SYSTEM, models=frozenset({"other"}))
    async with desk(settings, kept, "anything", small=False) as it:
        with serving(RequestContext(request_id="r", principal=caller)):
            found = await find(it, settings, "annual leave", multi_query={})
        assert told(found) == [("multi_query", "model_not_allowed")]
        assert it.model.prompts == []


async def test_no_cross_encoder_is_said(settings, kept):
    async with desk(settings, kept, small=False) as it:
        found = await find(it, settings, "annual leave", rerank={"by": "cross_encoder"})
        assert told(found) == [("rerank", "no_cross_encoder")]


async def test_what_a_search_asks_a_model_counts_for_its_request(settings, kept):
    async with desk(settings, kept, "pump weight", small=False) as it:
        request = RequestContext(request_id="r", principal=SYSTEM)
        with serving(request):
            await find(it, settings, "annual leave", multi_query={})
        assert request.usage.output_tokens > 0
        assert request.attempts == 1
        assert request.capability == ""


async def test_an_answer_from_widened_and_compressed_passages_cites_to_the_character(settings, kept):
    long = "# Boiler\n\n" + "\n\n".join(f"Remark {number} is about nothing that matters here. " * 20 for number in range(8))
    long = long.replace("Remark 4 is", "The boiler weighs 77 kg. Remark 4 is", 1)
    async with desk(settings, kept, "The boiler weighs 77 kg [1].", small=False) as it:
        company = await it.library.collections.get(SYSTEM, "company")
        it.documents["boiler.md"] = await add(it.library, company, "boiler.md", long)
        await set_steps(it, expansion={"before": 2, "after": 2}, compression={"tokens": 200})
        answer = await it.ask("What does the boiler weigh?")
        (citation,) = answer["citations"]
        document = it.documents["boiler.md"]
        text = (await it.library.resources.files.get(document.text_key, tenant=document.tenant)).decode()
        assert text[citation["start"] : citation["end"]] == citation["quote"]
        assert "77 kg" in citation["quote"]
        prompt = it.model.prompts[0][-1].text
        assert "77 kg" in prompt
        assert len(prompt.split()) < 500
        assert answer["degraded"] is False


async def test_an_answer_says_that_a_step_was_skipped(settings, kept):
    async with desk(settings, kept, "You have 28 days of annual leave [1].", small=False) as it:
        await set_steps(it, rerank={"by": "cross_encoder"})
        answer = await it.ask("How many days of annual leave do I have?")
        assert (answer["answered"], answer["degraded"]) == (True, True)
