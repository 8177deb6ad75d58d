"""Embeddings over several deployments of one model, at the wire."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from aiohttp import web

from core import context
from core.context import RequestContext, Usage
from core.errors import InvalidRequest, PlatformError, ProviderFailed
from core.principals import SYSTEM
from core.settings import Settings, SettingsError
from core.tries import Tries
from providers.models import Models
from tests.fakes.openai import DIMENSIONS, OpenAIFake
from tests.fakes.wire import Fault, Raw, Sent, Step

SMALL = "text-embedding-3-small"


class OtherModel(OpenAIFake):
    """Gives longer vectors than its name promises."""

    async def respond(self, request: web.Request, sent: Sent, step: Step) -> web.StreamResponse:
        if isinstance(step, Fault):
            return await super().respond(request, sent, step)
        rows = [{"index": place, "embedding": [1.0] * (DIMENSIONS + 1)} for place, _ in enumerate(sent.body["input"])]
        return web.json_response({"data": rows, "usage": {"prompt_tokens": 1}})


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[OpenAIFake, OpenAIFake, OpenAIFake]]:
    with OpenAIFake() as first, OpenAIFake() as second, OtherModel() as other:
        yield first, second, other


@pytest.fixture
def fakes(running: tuple[OpenAIFake, OpenAIFake, OpenAIFake]) -> tuple[OpenAIFake, OpenAIFake, OpenAIFake]:
    for fake in running:
        fake.clear()
    return running


def configured(settings: Settings, fakes: tuple[OpenAIFake, ...], **more: Any) -> Settings:
    first, second, other = fakes
    here = {"provider": "openai", "model": SMALL}
    there = {"provider": "openai_compatible:there", "model": "small", "serves": SMALL}
    return Settings.load(
        data_dir=settings.data_dir,
        models=[
            {"alias": "embeddings", "kind": "embeddings", "deployments": [here | {"serves": SMALL}, there]},
            {"alias": "alone", "kind": "embeddings", "deployments": [here]},
            {
                "alias": "lying",
                "kind": "embeddings",
                "deployments": [here | {"serves": SMALL}, there | {"provider": "openai_compatible:other"}],
            },
        ],
        providers={
            "openai": {"base_url": first.base_url, "api_key": "sk-secret"},
            "openai_compatible:there": {"base_url": second.base_url},
            "openai_compatible:other": {"base_url": other.base_url},
        },
        **{"timeouts": {"connect": 2, "first_token": 0.4, "between_tokens": 0.4, "total": 10}, **more},
    )


@pytest.fixture
async def models(settings: Settings, fakes: tuple[OpenAIFake, ...]) -> AsyncIterator[Models]:
    made = Models(configured(settings, fakes))
    yield made
    await made.close()


@pytest.mark.parametrize(
    "fault", [Fault.SERVER, Fault.UNAVAILABLE, Fault.RATE, Fault.CREDENTIAL, Fault.MISSING, Fault.RESET, Fault.SILENT]
)
async def test_a_query_moves_on_to_another_deployment_of_the_model(
    models: Models, fakes: tuple[OpenAIFake, ...], fault: Fault
) -> None:
    fakes[0].then(fault)
    with context.serving(RequestContext(request_id="r", principal=SYSTEM)) as request:
        assert (await models.embeddings().aembed_query("abc"))[0] == 3.0
    assert (request.provider, request.attempts) == ("openai_compatible:there", 2)
    assert request.usage.input_tokens == 3, "a failed call is not billed"


async def test_vectors_of_another_length_are_never_given(models: Models, fakes: tuple[OpenAIFake, ...]) -> None:
    lying = models.embeddings("lying")
    assert len(await lying.aembed_query("a")) == DIMENSIONS
    fakes[0].always(Fault.UNAVAILABLE)
    with context.serving(RequestContext(request_id="r", principal=SYSTEM)) as request, pytest.raises(ProviderFailed):
        await lying.aembed_documents(["a", "b"])
    assert fakes[2].asked, "it was asked, and its vectors were refused"
    assert (request.provider, request.model, request.usage) == (None, None, Usage())
    refused = [failed for failed in request.failures if failed.provider == "openai_compatible:other"]
    assert refused[0].usage.input_tokens == 1
    assert {failed.reason for failed in request.failures} == {"server_error"}


async def test_a_silent_deployment_is_told_among_the_failures(models: Models, fakes: tuple[OpenAIFake, ...]) -> None:
    fakes[0].then(Fault.SILENT)
    with context.serving(RequestContext(request_id="r", principal=SYSTEM)) as request:
        await models.embeddings().aembed_query("abc")
    assert [(failed.provider, failed.reason) for failed in request.failures] == [("openai", "timeout")]


async def test_a_moments_failure_is_tried_again(models: Models, fakes: tuple[OpenAIFake, ...]) -> None:
    fakes[0].then(Fault.SERVER)
    assert (await models.embeddings("alone").aembed_query("abc"))[0] == 3.0
    assert len(fakes[0].sent) == 2


async def test_a_fault_of_the_request_is_raised_at_once(models: Models, fakes: tuple[OpenAIFake, ...]) -> None:
    fakes[0].then(Fault.INVALID)
    with pytest.raises(InvalidRequest):
        await models.embeddings().aembed_query("abc")
    assert not fakes[1].sent


async def test_a_query_does_not_wait_for_a_deployment_that_is_known_to_be_down(
    settings: Settings, fakes: tuple[OpenAIFake, ...]
) -> None:
    models = Models(configured(settings, fakes, breaker={"failures": 1}))
    fakes[0].always(Fault.SILENT)
    alone = models.embeddings("alone")
    for _ in range(3):
        with pytest.raises(ProviderFailed):
            await alone.aembed_query("abc")
    assert len(fakes[0].sent) == 1, "its breaker is open"
    fakes[0].always()
    assert (await alone.aembed_documents(["abc"]))[0][0] == 3.0, "documents, which can wait, try it all the same"
    assert (await alone.aembed_query("abc"))[0] == 3.0, "and have closed it"
    await models.close()


async def test_the_name_of_the_vectors_is_the_models_and_not_its_place(models: Models) -> None:
    assert models.embedding_name() == SMALL
    assert models.embedding_name("alone") == f"openai/{SMALL}"


def test_deployments_of_different_models_under_one_alias_are_refused(settings: Settings) -> None:
    deployments = [{"provider": "openai", "model": SMALL}, {"provider": "local", "model": "all-MiniLM-L6-v2"}]
    with pytest.raises(SettingsError, match=r"GENAI_MODELS__0[\s\S]*do not compare[\s\S]*serves"):
        Settings.load(
            data_dir=settings.data_dir, models=[{"alias": "embeddings", "kind": "embeddings", "deployments": deployments}]
        )


def test_a_cloud_s_name_for_the_model_may_say_which_it_is(settings: Settings) -> None:
    deployments = [{"provider": "openai", "model": SMALL}, {"provider": "azure", "model": f"our-vectors#{SMALL}"}]
    loaded = Settings.load(
        data_dir=settings.data_dir, models=[{"alias": "embeddings", "kind": "embeddings", "deployments": deployments}]
    )
    assert len(loaded.models[0].deployments) == 2


def test_synchronous_calls_keep_to_the_same_rules(models: Models, fakes: tuple[OpenAIFake, ...]) -> None:
    fakes[0].then(Fault.SILENT)
    before = time.monotonic()
    assert models.embeddings().embed_query("abc")[0] == 3.0
    assert time.monotonic() - before < 8, "well under the total of ten seconds"


async def test_limits_of_a_deployment_are_kept_before_anything_is_sent(
    settings: Settings, fakes: tuple[OpenAIFake, ...]
) -> None:
    limited = configured(settings, fakes)
    first, second = limited.models[0].deployments
    one_a_minute = limited.models[0].model_copy(
        update={"deployments": (first.model_copy(update={"requests_per_minute": 1}), second)}
    )
    models = Models(limited.model_copy(update={"models": (one_a_minute, *limited.models[1:])}))
    for _ in range(3):
        await models.embeddings().aembed_query("abc")
    assert [len(fake.sent) for fake in fakes[:2]] == [1, 2]
    with pytest.raises(ProviderFailed):
        await models.embeddings("alone").aembed_query("abc")
    assert len(fakes[0].sent) == 1, "the same deployment under another name"
    await models.close()


@pytest.mark.parametrize("attempts", [1, 3])
async def test_retries_are_those_of_the_settings(settings: Settings, fakes: tuple[OpenAIFake, ...], attempts: int) -> None:
    models = Models(configured(settings, fakes, retries={"attempts": attempts, "pause_s": 0.03}))
    fakes[0].always(Fault.SERVER)
    with pytest.raises(ProviderFailed):
        await models.embeddings("alone").aembed_documents(["abc"])
    assert len(fakes[0].sent) == attempts
    await models.close()


async def test_a_silent_deployment_is_left_for_one_text_as_for_a_query(models: Models, fakes: tuple[OpenAIFake, ...]) -> None:
    fakes[0].then(Fault.SILENT)
    async with asyncio.timeout(4):  # its share of the total is five seconds, its first-token limit 0.4
        assert (await models.embeddings().aembed_documents(["abc"]))[0][0] == 3.0


async def test_within_an_answer_a_query_leaves_calls_to_the_model_that_is_to_answer(
    models: Models, fakes: tuple[OpenAIFake, ...]
) -> None:
    fakes[0].always(Fault.SERVER)
    with context.serving(RequestContext(request_id="r", principal=SYSTEM, tries=Tries())) as request:
        for calls in (2, 3):  # its first call a step makes in any case
            with pytest.raises(ProviderFailed):
                await models.embeddings("alone").aembed_query("abc")
            assert len(fakes[0].asked) == request.attempts == calls
        assert request.tries is not None
        assert request.tries.may_go_on(5)
        await models.embeddings().aembed_query("abc")
    assert (len(fakes[0].asked), len(fakes[1].asked)) == (3, 1), "the one that failed is not asked first again"


@pytest.mark.parametrize("query", [True, False])
async def test_a_vector_without_numbers_is_the_providers_failure(
    settings: Settings, fakes: tuple[OpenAIFake, OpenAIFake, OpenAIFake], query: bool
) -> None:
    models = Models(configured(settings, fakes))
    fakes[0].always(Raw(b'{"data": [{"index": 0, "embedding": []}], "usage": {"prompt_tokens": 1}}'))
    model = models.embeddings("embeddings")
    vector = await model.aembed_query("Hi") if query else (await model.aembed_documents(["Hi"]))[0]
    assert len(vector) == DIMENSIONS
    with pytest.raises(ProviderFailed):
        await models.embeddings("alone").aembed_query("Hi")
    await models.close()


async def test_a_wait_that_the_provider_asks_for_is_taken_from_the_deadline(
    settings: Settings, fakes: tuple[OpenAIFake, ...]
) -> None:
    limits = {"connect": 1, "first_token": 3, "between_tokens": 1, "total": 3}
    models = Models(configured(settings, fakes, timeouts=limits))
    fakes[0].then(Raw(b'{"error": {"message": "busy", "code": "rate_limit_exceeded"}}', 429, headers={"retry-after": "2"}))
    fakes[0].always(Fault.SILENT)
    started = time.monotonic()
    with pytest.raises(PlatformError):
        await models.embeddings("alone").aembed_documents(["abc"])
    assert time.monotonic() - started < 4.5, "it had its whole time anew after the wait"
    await models.close()
