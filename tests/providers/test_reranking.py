"""Rerankers over several deployments, at the wire."""

from collections.abc import AsyncIterator, Iterator

import pytest
from aiohttp import web

from core.context import RequestContext, serving
from core.errors import InvalidRequest, NotFound, PlatformError
from core.principals import SYSTEM
from core.settings import Settings
from providers.models import Models
from providers.openai_reranking import scaled
from tests.fakes.openai import OpenAIFake
from tests.fakes.wire import Fault, Sent, Step


class RerankingFake(OpenAIFake):
    """Scores a document by how many of the query's words it has; not in the order of the documents."""

    rows = 100

    async def respond(self, request: web.Request, sent: Sent, step: Step) -> web.StreamResponse:
        if isinstance(step, Fault):
            return await super().respond(request, sent, step)
        asked = set(sent.body["query"].split())
        scores = [len(asked & set(text.split())) / len(asked) for text in sent.body["documents"]]
        results = [{"index": place, "relevance_score": score} for place, score in enumerate(scores)]
        return web.json_response({"results": results[::-1][: self.rows], "usage": {"total_tokens": 42}})


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[RerankingFake, RerankingFake]]:
    with RerankingFake() as first, RerankingFake() as second:
        yield first, second


@pytest.fixture
def fakes(running: tuple[RerankingFake, RerankingFake]) -> tuple[RerankingFake, RerankingFake]:
    for fake in running:
        fake.clear()
        fake.rows = 100
    return running


@pytest.fixture
async def models(settings: Settings, fakes: tuple[RerankingFake, RerankingFake]) -> AsyncIterator[Models]:
    providers = {f"openai_compatible:{place}": {"base_url": fake.base_url} for place, fake in enumerate(fakes)}
    deployments = [{"provider": name, "model": "m"} for name in providers]
    opened = Models(
        Settings.load(
            data_dir=settings.data_dir,
            models=[
                {"alias": "judge", "kind": "rerank", "deployments": deployments},
                {"alias": "unable", "kind": "rerank", "deployments": [{"provider": "local", "model": "bundled"}]},
            ],
            providers=providers,
            timeouts={"connect": 5, "first_token": 15, "total": 30},
        )
    )
    yield opened
    await opened.close()


async def test_scores_come_in_the_order_of_the_texts_and_are_accounted_for(models: Models, fakes):
    request = RequestContext(request_id="r", principal=SYSTEM)
    with serving(request):
        assert await models.reranker("judge").scores("blue pump", ["a pump", "nothing", "the blue pump"]) == [0.5, 0, 1]
    assert (request.attempts, request.usage.input_tokens) == (1, 42)
    (sent,) = fakes[0].sent
    assert sent.path.endswith("/rerank")
    assert sent.body == {"model": "m", "query": "blue pump", "documents": ["a pump", "nothing", "the blue pump"], "top_n": 3}
    assert await models.reranker("judge").scores("q", []) == []


async def test_where_one_fails_another_answers(models: Models, fakes):
    fakes[0].always(Fault.UNAVAILABLE)
    assert await models.reranker("judge").scores("pump", ["pump"]) == [1]
    fakes[1].rows = 1
    with pytest.raises(PlatformError):
        await models.reranker("judge").scores("pump", ["a", "b"])


async def test_who_has_no_reranker_is_refused(models: Models):
    with pytest.raises(NotFound):
        models.reranker("embeddings")
    with pytest.raises(InvalidRequest):
        await models.reranker("unable").scores("pump", ["a"])


def test_a_models_own_numbers_are_scaled():
    assert scaled([0.2, 1.0]) == [0.2, 1.0]
    assert scaled([-800.0, 0.0, 900.0]) == [pytest.approx(0), 0.5, pytest.approx(1)]
