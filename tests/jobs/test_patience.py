"""How long a run waits for a provider: what is asked again, and when no more."""

import asyncio
import time

import pytest

from core.errors import ContentRefused, RateLimited, Unavailable
from jobs import patience
from jobs.patience import MOST_IN_VAIN, TRIES, Patience


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "FIRST_PAUSE_S", 0.0)


class Provider:
    """Answers, or raises what it is told to."""

    def __init__(self, error: Exception | None) -> None:
        self.error, self.calls = error, 0

    async def __call__(self) -> str:
        self.calls += 1
        if self.error is not None:
            raise self.error
        return "answer"


async def test_what_is_refused_for_now_is_asked_again_and_what_is_refused_is_not() -> None:
    away, refusing = Provider(Unavailable("Away.")), Provider(ContentRefused("No."))
    for provider in (away, refusing):
        with pytest.raises((Unavailable, ContentRefused)):
            await Patience().ask(provider)
    assert (away.calls, refusing.calls) == (TRIES, 1)


async def test_nothing_is_given_up_before_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    away, waiting = Provider(Unavailable("Away.")), Patience()
    for _ in range(MOST_IN_VAIN + 1):
        with pytest.raises(Unavailable):
            await waiting.ask(away)
    assert (waiting.lost, away.calls) == (None, TRIES * (MOST_IN_VAIN + 1))
    monkeypatch.setattr(patience, "PATIENCE_S", 0.0)
    with pytest.raises(Unavailable):
        await waiting.ask(away)
    assert (waiting.lost, away.calls) == ("unavailable", TRIES * (MOST_IN_VAIN + 1) + 1)


async def test_a_dead_provider_is_asked_once_for_each_of_some_examples_and_then_for_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(patience, "PATIENCE_S", 0.0)
    away, waiting = Provider(Unavailable("Away.")), Patience()
    while waiting.lost is None:
        with pytest.raises(Unavailable):
            await waiting.ask(away)
    assert away.calls == MOST_IN_VAIN + 1, "the first has two tries"


async def test_an_answer_among_them_begins_it_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PATIENCE_S", 0.0)
    provider, waiting = Provider(None), Patience()
    for _ in range(2):
        for _ in range(MOST_IN_VAIN - 1):
            provider.error = Unavailable("Away.")
            with pytest.raises(Unavailable):
                await waiting.ask(provider)
        provider.error = None
        assert await waiting.ask(provider) == "answer"
    assert waiting.lost is None


async def test_who_waits_is_told_when_it_is_given_up() -> None:
    asked, waiting = Provider(RateLimited("Later.", retry_after_s=600)), Patience()
    sleeping = asyncio.create_task(waiting.ask(asked))
    await asyncio.sleep(0)  # it has asked, and waits
    waiting._answered_at = time.monotonic() - patience.PATIENCE_S
    for _ in range(MOST_IN_VAIN):
        with pytest.raises(Unavailable):
            await waiting.ask(Provider(Unavailable("Away.")))
    with pytest.raises(RateLimited):
        await asyncio.wait_for(sleeping, 5)
    assert asked.calls == 2
