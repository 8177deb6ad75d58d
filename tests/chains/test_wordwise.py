"""RAG and search without their embedding model: by words, and saying so."""

from collections.abc import AsyncIterator, Iterator

import numpy as np
import pytest

from chains.wordwise import vectors_of_words
from core.database import Database
from core.errors import PlatformError
from core.settings import Settings
from providers.models import Models
from retrievers.base import Shelf
from tests.chains.asking import Place, desk
from tests.fakes.openai import OpenAIFake
from tests.fakes.wire import Fault


@pytest.fixture(scope="module")
def running() -> Iterator[OpenAIFake]:
    with OpenAIFake() as fake:
        yield fake


@pytest.fixture
def embedder(running: OpenAIFake) -> OpenAIFake:
    running.clear()
    return running


@pytest.fixture
async def place(prepared: Settings, embedder: OpenAIFake) -> AsyncIterator[Place]:
    """An installation whose embedding model is at a provider."""
    remote = Settings.load(
        data_dir=prepared.data_dir,
        models=[
            {
                "alias": "embeddings",
                "kind": "embeddings",
                "deployments": [{"provider": "openai_compatible:there", "model": "m"}],
            }
        ],
        providers={"openai_compatible:there": {"base_url": embedder.base_url}},
        timeouts={"connect": 2, "first_token": 0.5, "total": 5},
    )
    database, models = Database(prepared), Models(remote)
    yield Place(database, models)
    await models.close()
    await database.close()


@pytest.mark.parametrize("fault", [Fault.UNAVAILABLE, Fault.SILENT, Fault.CREDENTIAL])
async def test_a_question_is_answered_by_words_and_the_answer_says_so(settings, place, embedder, fault) -> None:
    async with desk(settings, place, "You have 28 days of paid annual leave in a calendar year.", small=True) as it:
        embedder.always(fault)
        answer = await it.ask("How many days of paid annual leave do employees have in a calendar year?")
        assert answer["degraded"] is True
        assert answer["answered"] is True
        assert "28 days" in answer["output"]
        assert answer["citations"][0]["document"] == "leave.md"


async def test_a_large_model_gets_the_passages_that_words_find(settings, place, embedder) -> None:
    async with desk(settings, place, "The pump weighs 18.5 kg [1].", small=False) as it:
        embedder.always(Fault.UNAVAILABLE)
        answer = await it.ask("What is the weight of the P200 pump?")
        assert (answer["degraded"], answer["output"]) == (True, "The pump weighs 18.5 kg [1].")
        assert "18.5 kg" in it.model.prompts[0][-1].text


async def test_what_no_document_says_is_not_answered_by_words_either(settings, place, embedder) -> None:
    async with desk(settings, place, small=True) as it:
        embedder.always(Fault.UNAVAILABLE)
        answer = await it.ask("Who painted the Mona Lisa?")
        assert (answer["degraded"], answer["answered"], answer["citations"]) == (True, False, [])


async def test_an_answer_with_its_embedding_model_is_not_degraded(settings, place, embedder) -> None:
    async with desk(settings, place, small=True) as it:
        assert (await it.ask("How long is the annual leave?"))["degraded"] is False


async def test_an_embedding_model_that_goes_between_search_and_judgement_degrades_the_answer(settings, place, embedder) -> None:
    async with desk(settings, place, small=True) as it:
        embedder.sent.clear()
        embedder.then(*[Fault.UNAVAILABLE] * 0)
        found = await it.library.searcher.find(Shelf.of(it.documents["leave.md"]), "annual leave", limit=3)
        assert not found.degraded
        embedder.always(Fault.UNAVAILABLE)
        found = await it.library.searcher.find(Shelf.of(it.documents["leave.md"]), "annual leave", limit=3)
        assert found.degraded
        assert found.passages[0].chunk.document == "leave.md"
        assert found.passages[0].score == 1.0, "on the scale of a hybrid search"
        with pytest.raises(PlatformError):
            await it.library.searcher.find(Shelf.of(it.documents["leave.md"]), "leave", limit=3, mode="dense")
        lexical = await it.library.searcher.find(Shelf.of(it.documents["leave.md"]), "leave", limit=3, mode="lexical")
        assert not lexical.degraded, "asked for by words"


def test_texts_that_share_telling_words_are_near_to_each_other() -> None:
    texts = ["the pump moves water", "water is moved by a pump", "bread and butter", ""]
    vectors = vectors_of_words(texts, words=lambda text: text.split(), weights={"pump": 5.0, "water": 2.0})
    assert vectors.shape[0] == 4
    near = vectors @ vectors[0]
    assert near[0] == pytest.approx(1)
    assert near[1] > near[2] == 0
    assert not np.isnan(vectors).any()
