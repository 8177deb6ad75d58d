"""Every scenario at a provider, through every way in: what a file of tests inherits that names its providers.

The tests are in several files so that several processes can share them.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import pytest_asyncio

from core.settings import Settings, Timeouts
from tests.contract.ways import STREAMED, WHOLE, Doors, Seen, Way, opened
from tests.fakes.clouds import CLOUDS, PATIENT
from tests.fakes.openai import OpenAIFake
from tests.fakes.scenarios import ANSWER, SCENARIOS, Scenario
from tests.fakes.wire import Break, Fake, Fault

#: Of the deployment that falls ill; the others are waited for.
BRIEF = Timeouts(connect=5, first_token=0.3, between_tokens=0.3, total=20)
#: Scenarios in which each call waits for a limit; what they need of the script is the same for every call.
SLOW = ("no-response", "no-first-token", "empty-chunks", "stalled", "empty-chunks-halfway")
#: Ways with which a deployment without another is asked: one of each kind.
ALONE = (WHOLE[0], WHOLE[1], *STREAMED[:1], WHOLE[3], *STREAMED[2:])


@dataclass
class Installation:
    """One application with an alias for each provider (`NAME`: another is there that is well, `NAME-alone`: none is, and
    `NAME-taken-up`: another is there that takes up an answer that is begun)."""

    doors: Doors
    fakes: dict[str, Fake]
    well: OpenAIFake

    def first(self, name: str) -> Fake:
        fake = self.fakes[CLOUDS[name].provider]
        fake.continues = CLOUDS[name].continues
        return fake

    def heal(self, alias: str) -> None:
        """Forget what earlier calls have shown of an alias's deployments."""
        for served in self.doors.models.chat(alias).deployments:  # type: ignore[attr-defined] # ours
            served.standing.breaker.close()
            served.standing.held_until = 0.0
            served.standing.token_s.value = served.standing.first_token_s.value = None


async def played(
    installation: Installation, name: str, scenario: Scenario, ways: tuple[Way, ...], *, alone: bool = False
) -> dict[str, Seen]:
    """What is seen by each way of an answer to which this happens."""
    first, others = installation.first(name), () if alone else (installation.well,)
    alias = f"{name}-alone" if alone else name

    async def ask(way: Way) -> Seen:
        seen = await way(installation.doors, alias)
        assert first.asked, "the one that falls ill was not asked"
        return seen

    installation.heal(alias)
    scenario.play(first, others)
    if scenario.name in SLOW:
        return dict(zip((way.__name__ for way in ways), await asyncio.gather(*map(ask, ways)), strict=True))
    seen = {}
    for way in ways:
        installation.heal(alias)
        scenario.play(first, others)
        seen[way.__name__] = await ask(way)
    return seen


def expect(seen: dict[str, Seen], codes: frozenset[str], *, whole: bool) -> None:
    """That by each way a whole answer was seen, or one of these errors after a beginning of it; not `whole`: one of these."""
    right = [Seen(ANSWER.text[:length], code) for code in codes for length in range(len(ANSWER.text) + 1)]
    right.append(Seen(ANSWER.text))
    wrong = {way: each for way, each in seen.items() if not (each in right if whole else each.code in codes)}
    assert wrong == {}, wrong


@pytest.mark.asyncio(loop_scope="class")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
class FaultsAtProviders:
    """Subclasses name their `providers` (of `tests.fakes.clouds.CLOUDS`)."""

    providers: ClassVar[tuple[str, ...]]

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "name" in metafunc.fixturenames:
            metafunc.parametrize("name", self.providers)

    @pytest.fixture(scope="class")
    def fakes(self) -> Iterator[dict[str, Fake]]:
        with ExitStack() as stack:
            yield {CLOUDS[name].provider: stack.enter_context(CLOUDS[name].start()) for name in self.providers}

    @pytest.fixture(scope="class")
    def well(self) -> Iterator[OpenAIFake]:
        with OpenAIFake(continues=True) as fake:
            yield fake

    @pytest_asyncio.fixture(scope="class", loop_scope="class")
    async def installation(
        self, fakes: dict[str, Fake], well: OpenAIFake, tmp_path_factory: pytest.TempPathFactory
    ) -> AsyncIterator[Installation]:
        other: dict[str, Any] = {"provider": "openai_compatible:well", "context_tokens": 1_000_000, "timeouts": PATIENT}
        aliases = []
        for name in self.providers:
            ill = CLOUDS[name].deployment(context_tokens=8_192, timeouts=BRIEF).model_dump()
            able = other | {"model": "able", "prefill": True}
            aliases += [
                {"alias": name, "deployments": [ill, other | {"model": CLOUDS[name].chat}]},
                {"alias": f"{name}-alone", "deployments": [ill]},
                {"alias": f"{name}-taken-up", "deployments": [ill | {"prefill": False}, able]},
            ]
        configured = {CLOUDS[name].provider: CLOUDS[name].settings(fakes[CLOUDS[name].provider]) for name in self.providers}
        settings = Settings.load(
            data_dir=tmp_path_factory.mktemp("data"),
            models=aliases,
            providers={**configured, "openai_compatible:well": {"base_url": well.base_url}},
            timeouts=PATIENT,
            retries={"pause_s": 0.03, "longest_pause_s": 0.3, "share": 5},
            breaker={"failures": 1_000_000, "window_calls": 1_000_000},
        )
        async with opened(settings) as doors:
            yield Installation(doors, fakes, well)

    @pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
    async def test_by_every_way_the_answer_is_whole_or_says_that_it_is_not(
        self, installation: Installation, name: str, scenario: Scenario
    ) -> None:
        seen = await played(installation, name, scenario, WHOLE)
        codes = frozenset() if scenario.whole else scenario.alone
        expect(seen, codes, whole=scenario.whole)
        seen = await played(installation, name, scenario, STREAMED)
        expect(seen, scenario.stream_codes, whole=scenario.whole)

    @pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
    async def test_alone_it_gives_the_answer_or_a_clean_error_after_a_bounded_number_of_calls(
        self, installation: Installation, name: str, scenario: Scenario
    ) -> None:
        seen = await played(installation, name, scenario, ALONE, alone=True)
        expect(seen, scenario.alone, whole=scenario.whole)
        assert len(installation.first(name).asked) <= 5 * (len(ALONE) if scenario.name in SLOW else 1)

    @pytest.mark.parametrize("fault", [Fault.CUT, Fault.MALFORMED, Fault.UNTERMINATED, Fault.LATE_ERROR])
    async def test_a_stream_that_breaks_at_any_chunk_is_never_taken_for_whole(
        self, installation: Installation, name: str, fault: Fault
    ) -> None:
        first = installation.first(name)
        for place in range(first.length(ANSWER)):
            for way in (WHOLE[0], STREAMED[0]):
                installation.heal(f"{name}-alone")
                first.clear()
                first.then(Break(fault, place, ANSWER)).always(Fault.FORBIDDEN)
                seen = {f"{way.__name__}, after {place} chunks": await way(installation.doors, f"{name}-alone")}
                expect(seen, frozenset({"stream_interrupted", "provider_failed", "rate_limited"}), whole=True)

    @pytest.mark.parametrize("fault", [Fault.CUT, Fault.MALFORMED, Fault.UNTERMINATED, Fault.LATE_ERROR])
    async def test_a_stream_that_breaks_at_any_chunk_is_whole_where_another_takes_it_up(
        self, installation: Installation, name: str, fault: Fault
    ) -> None:
        first, alias = installation.first(name), f"{name}-taken-up"
        installation.well.clear()
        installation.well.always(ANSWER)
        for place in range(first.length(ANSWER)):
            for way in (WHOLE[0], STREAMED[0]):
                installation.heal(alias)
                first.clear()
                first.then(Break(fault, place, ANSWER))
                seen = {f"{way.__name__}, after {place} chunks": await way(installation.doors, alias)}
                expect(seen, frozenset(), whole=True)
