"""Answers held back in windows, however a provider cuts them."""

import random
from collections.abc import AsyncGenerator
from typing import Any, cast

import pytest

from chains.guards.patterns import PatternOptions, Patterns
from chains.protection.answers import Answering
from chains.protection.guarding import Posted
from chains.spec import Delta
from core.context import RequestContext, serving
from core.errors import GuardBlocked, PersonalDataBlocked
from core.policies.policy import Place, Policy
from core.policies.privacy import Privacy, record_of
from core.policies.store import Policies
from core.principals import SYSTEM
from core.redaction.analyser import Analyser
from core.redaction.replacement import same

FILLER = "The committee met again and nothing of importance was said by anybody there. "
SECRET = "operation " + "very " * 20 + "nightfall"


@pytest.fixture(scope="module")
def analyser() -> Analyser:
    return Analyser()


def pieces(text: str, seed: int) -> list[str]:
    chance, cut = random.Random(seed), []
    while text:
        size = chance.choice((1, 2, 3, 7, 40, 300))
        cut.append(text[:size])
        text = text[size:]
    return cut


async def deltas(text: str, seed: int) -> AsyncGenerator[Delta, None]:
    for piece in pieces(text, seed):
        yield Delta(text=piece)
    yield Delta(final=text)


async def told(answering: Answering, text: str, seed: int) -> tuple[str, Any, Exception | None]:
    """What left of an answer: its pieces, the whole, and the error that it ended with."""
    said, final = "", None
    try:
        async for delta in answering.of(deltas(text, seed)):
            said, final = said + delta.text, delta.final
    except (GuardBlocked, PersonalDataBlocked) as error:
        return said, final, error
    return said, final, None


def guarded(analyser: Analyser) -> Answering:
    guard = Patterns(PatternOptions(deny={"secret": r"operation\s+(very\s+)*nightfall"}), cast("Any", None))
    return Answering(Privacy(Policies(), analyser), {}, [Posted(guard, "patterns", blocks=True)], None)


@pytest.mark.parametrize("seed", range(30))
async def test_nothing_of_what_a_pattern_blocks_leaves(seed: int, analyser: Analyser) -> None:
    before = random.Random(seed).randrange(0, 2500)
    text = (FILLER * 40)[:before] + SECRET + FILLER * random.Random(-seed).randrange(0, 12)
    with serving(RequestContext(request_id="r", principal=SYSTEM)):
        said, final, error = await told(guarded(analyser), text, seed)
        assert isinstance(error, GuardBlocked)
        assert final is None
        assert "operation" not in said
        assert text.startswith(said)
        harmless = text.replace("nightfall", "daybreak")
        assert await told(guarded(analyser), harmless, seed) == (harmless, harmless, None)


def ruled(analyser: Analyser, mode: str) -> Answering:
    policy = Policy.model_validate({"pii": {"*": {"mode": mode, "on": ["answers"]}}})
    privacy = Privacy(Policies(policy), analyser)
    return Answering(privacy, privacy.modes(Place.ANSWERS), [], None)


@pytest.mark.parametrize("seed", range(6))
async def test_a_redacted_stream_adds_up_to_the_redacted_whole(seed: int, analyser: Analyser) -> None:
    mail, phone = "ingrid.halvorsen@fjordmail.no", "+47 22 34 56 78"
    text = FILLER * random.Random(seed).randrange(0, 6) + f"Write to {mail} or call {phone}. " + FILLER * 3
    with serving(RequestContext(request_id="r", principal=SYSTEM)):
        said, final, error = await told(ruled(analyser, "redact"), text, seed)
        assert error is None
        assert said == final == text.replace(mail, "<EMAIL_ADDRESS>").replace(phone, "<PHONE_NUMBER>")
        said, final, error = await told(ruled(analyser, "block"), text, seed)
        assert isinstance(error, PersonalDataBlocked)
        assert "ingrid" not in said
        assert "+47" not in said


async def test_what_a_caller_said_comes_back_and_what_the_model_adds_does_not(analyser: Analyser) -> None:
    with serving(RequestContext(request_id="r", principal=SYSTEM)) as request:
        record_of(request).said.add(same("Ingrid@Fjordmail.no"))
        text = "From ingrid@fjordmail.no to olaf@fjordmail.no."
        said, _, _ = await told(ruled(analyser, "redact"), text, 1)
        assert said == "From ingrid@fjordmail.no to <EMAIL_ADDRESS>."
        assert request.pii == {"answers": {"EMAIL_ADDRESS": 1}}


async def test_pseudonyms_of_an_answer_are_its_own_and_are_not_put_back(analyser: Analyser) -> None:
    with serving(RequestContext(request_id="r", principal=SYSTEM)) as request:
        said, _, _ = await told(ruled(analyser, "pseudonymise"), "To olaf@fjordmail.no and OLAF@fjordmail.no.", 2)
        assert said == "To <EMAIL_ADDRESS_1> and <EMAIL_ADDRESS_1>."
        assert record_of(request).given == set()
