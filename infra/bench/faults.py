"""Failover at full count: 2,000 requests for each fault of the first of four deployments, and a full outage of it.

The fakes of the tests answer at the wire, in one process of their own; the time-outs are the defaults.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from core.errors import PlatformError
from core.settings import Settings
from providers.models import Models
from tests.fakes.openai import OpenAIFake
from tests.fakes.scenarios import ANSWER, SCENARIOS, Scenario

NAMES = ("a", "b", "c", "d")
AT_ONCE = 32
#: Of what counts as an answer: 99.9 %.
WHOLE = 0.999


@contextmanager
def four_providers() -> Iterator[Sequence[OpenAIFake]]:
    """Four providers, each a server of its own."""
    with ExitStack() as stack:
        yield [stack.enter_context(OpenAIFake()) for _ in NAMES]


@asynccontextmanager
async def in_front_of(fakes: Sequence[OpenAIFake], place: Path, **more: Any) -> AsyncIterator[Models]:
    """An alias `default` over the four, with breakers that are closed. The models have different names."""
    deployments = [{"provider": f"openai_compatible:{name}", "model": f"model-{name}"} for name in NAMES]
    providers = {f"openai_compatible:{name}": {"base_url": fake.base_url} for name, fake in zip(NAMES, fakes, strict=True)}
    settings = Settings.load(
        data_dir=place, models=[{"alias": "default", "deployments": deployments}], providers=providers, **more
    )
    models = Models(settings)
    await models.warm(local=False)
    try:
        yield models
    finally:
        await models.close()


async def faults(place: Path, *, count: int, scenarios: Sequence[Scenario] = SCENARIOS, **more: Any) -> dict[str, float]:
    """`count` requests a fault, whole and streamed.

    Raises:
        AssertionError: fewer than 99.9 % are whole, a stream is neither whole nor ends in an error, or one is late.
    """
    worst = {"whole": 1.0, "streams_whole": 1.0, "slowest_s": 0.0}
    with four_providers() as fakes:
        for scenario in scenarios:
            for streamed in (False, True):
                scenario.play(fakes[0], fakes[1:])
                async with in_front_of(fakes, place, **more) as models:
                    share, slowest = await _asked(models, scenario, count=count, streamed=streamed)
                    total = models.chat().route.total_s  # type: ignore[attr-defined] # ours
                name = f"{scenario.name}{' streamed' if streamed else ''}"
                # streams whose text had begun are counted apart: whole or an explicit error
                assert share >= WHOLE or (streamed and scenario.told), f"{name}: {share:.4f} whole"
                assert slowest <= total, f"{name}: {slowest:.1f} s"
                kind = "streams_whole" if streamed else "whole"
                worst[kind] = min(worst[kind], share)
                worst["slowest_s"] = max(worst["slowest_s"], slowest)
    return worst


async def outage(place: Path, *, count: int, **more: Any) -> dict[str, float]:
    """The first of four is down for `count` requests, then well again.

    Raises:
        AssertionError: more than 1.2 calls a request, or it is not used again within one probe interval.
    """
    with four_providers() as fakes:
        down = next(scenario for scenario in SCENARIOS if scenario.name == "503-always")
        down.play(fakes[0], fakes[1:])
        async with in_front_of(fakes, place, **more) as models:
            share, _ = await _asked(models, down, count=count, streamed=False)
            calls = sum(len(fake.asked) for fake in fakes) / count
            fakes[0].clear()
            fakes[0].always(ANSWER)
            recovered = time.monotonic()
            probe_s = models.chat().deployments[0].standing.breaker.probe_s  # type: ignore[attr-defined] # ours
            while not fakes[0].asked and time.monotonic() - recovered < 2 * probe_s:
                await models.chat().ainvoke("Hello")
                await asyncio.sleep(0.02)
            used_after = time.monotonic() - recovered
    assert share >= WHOLE, f"{share:.4f} whole"
    assert calls <= 1.2, f"{calls:.2f} calls a request"
    assert used_after <= probe_s, f"used again after {used_after:.1f} s"
    return {"calls_per_request": calls, "used_again_s": used_after}


async def _asked(models: Models, scenario: Scenario, *, count: int, streamed: bool) -> tuple[float, float]:
    """Which share of so many requests was whole, and how long the slowest took."""
    whole, slowest = 0, 0.0
    numbers = iter(range(count))

    async def caller() -> None:
        nonlocal whole, slowest
        for _ in numbers:
            started = time.monotonic()
            text, code = await _answer(models, streamed=streamed)
            slowest = max(slowest, time.monotonic() - started)
            whole += code is None and text == ANSWER.text
            honest = text == ANSWER.text if code is None else ANSWER.text.startswith(text)
            assert honest, f"{scenario.name}: {text!r} {code}"

    await asyncio.gather(*(caller() for _ in range(AT_ONCE)))
    return whole / count, slowest


async def _answer(models: Models, *, streamed: bool) -> tuple[str, str | None]:
    pieces: list[str] = []
    try:
        if not streamed:
            return (await models.chat().ainvoke("Hello")).text, None
        async for chunk in models.chat().astream("Hello"):
            pieces.append(chunk.text)  # noqa: PERF401 - what came before an error is kept
    except PlatformError as error:
        return "".join(pieces), error.code
    return "".join(pieces), None
