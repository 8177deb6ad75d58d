"""Probes beside the calls: whom they ask, how often, and what a good one does for a breaker."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from aiohttp import web

from core.errors import PlatformError
from core.settings import Settings
from providers.breaker import State
from providers.catalogue import state_of
from providers.failures import Kind
from providers.models import Models
from providers.served import Served
from tests.fakes.openai import MODEL, OpenAIFake
from tests.fakes.wire import Fault, Sent, Step


class Moody(OpenAIFake):
    """Answers for the list of its models with `status`; 0: not at all."""

    status = 200

    async def respond(self, request: web.Request, sent: Sent, step: Step) -> web.StreamResponse:
        if self.status == 0 and self.is_aside(sent):
            await self.stall()
        return await super().respond(request, sent, step)

    def aside(self, sent: Sent) -> web.Response:
        return super().aside(sent) if self.status == 200 else web.json_response({}, status=self.status)

    @property
    def probes(self) -> int:
        return sum(self.is_aside(sent) for sent in self.sent)


@pytest.fixture(scope="module")
def running() -> Iterator[Moody]:
    with Moody() as fake:
        yield fake


@pytest.fixture
def fake(running: Moody) -> Moody:
    running.clear()
    running.status = 200
    return running


@contextlib.asynccontextmanager
async def opened(settings: Settings, fake: Moody, **more: Any) -> AsyncIterator[tuple[Models, Served]]:
    models = Models(
        Settings.load(
            data_dir=settings.data_dir,
            models=[{"alias": "default", "deployments": [{"provider": "openai", "model": MODEL}]}],
            providers={"openai": {"base_url": fake.base_url, "api_key": "sk-secret"}},
            **more,
        )
    )
    task = asyncio.create_task(models.prober.run())
    yield models, next(route for alias, route in models.catalogue() if alias.alias == "default").deployments[0]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await models.close()


async def failed_once(models: Models, fake: Moody) -> None:
    fake.always(Fault.UNAVAILABLE)
    with pytest.raises(PlatformError):
        await models.chat().ainvoke("Hi")


async def test_one_that_is_not_well_is_probed_until_it_is_and_the_next_caller_may_try(settings: Settings, fake: Moody) -> None:
    rules = {"breaker": {"failures": 1, "probe_s": 3600}, "probes": {"unhealthy_s": 0.05}, "retries": {"attempts": 1}}
    async with opened(settings, fake, **rules) as (models, served):
        fake.status = 503
        await failed_once(models, fake)
        assert served.standing.breaker.state is State.OPEN
        await fake.until(lambda: fake.probes >= 2)
        probed = models.prober.result(served)
        assert probed is not None
        assert probed.kind is Kind.SERVER
        assert not served.standing.breaker.closed, "a probe that fails changes nothing"
        fake.always()
        fake.status = 200
        await fake.until(lambda: models.prober.result(served).kind is None)  # type: ignore[union-attr]
        assert not served.standing.breaker.closed, "a probe closes no breaker"
        assert (await models.chat().ainvoke("Hi")).text, "though its own turn to be tried is an hour away"
        assert served.standing.breaker.closed


async def test_one_that_nobody_calls_is_probed_rarely_and_what_is_wrong_shows(settings: Settings, fake: Moody) -> None:
    fake.status = 401
    async with opened(settings, fake, probes={"idle_s": 0.05}) as (models, served):
        await fake.until(lambda: models.prober.result(served) is not None)
        probed = models.prober.result(served)
        assert probed is not None
        assert (probed.kind, probed.told()["ok"], probed.told()["error"]) == (Kind.AUTH, False, "authentication")
        assert served.standing.breaker.closed
        assert not models.prober.refuted(served)
        await models.chat().ainvoke("Hi")
        assert models.prober.refuted(served), "whatever the list of its models says"


async def test_one_without_a_list_of_models_is_not_said_to_fail_and_nor_is_one_that_answers(
    settings: Settings, fake: Moody
) -> None:
    async with opened(settings, fake) as (models, served):
        fake.status = 404
        assert (await models.prober.probe(served)).kind is None
        assert state_of(models, "default", served).state == "ready"
        assert served.standing.told()["last_answer_age_s"] is None
        fake.status = 503
        await models.prober.probe(served)
        assert state_of(models, "default", served).state == "failed"
        await models.chat().ainvoke("Hi")
        assert state_of(models, "default", served).state == "ready", "it has answered since"
        assert served.standing.told()["last_answer_age_s"] >= 0


async def test_one_that_is_well_and_called_is_left_in_peace(settings: Settings, fake: Moody) -> None:
    async with opened(settings, fake, probes={"unhealthy_s": 0.02}) as (models, _):
        for _ in range(3):
            await models.chat().ainvoke("Hi")
        assert fake.probes == 0


async def test_a_silent_provider_does_not_hold_a_probe_up(settings: Settings, fake: Moody) -> None:
    fake.status = 0
    async with opened(settings, fake, probes={"timeout_s": 0.05}) as (models, served):
        assert (await models.prober.probe(served)).kind is Kind.TIMEOUT


async def test_local_models_are_not_probed(settings: Settings) -> None:
    models = Models(settings)
    assert list(models.prober.probed) == []
    await models.close()
