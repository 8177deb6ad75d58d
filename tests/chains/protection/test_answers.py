"""Answers held back in windows, however a provider cuts them."""

import random
from collections.abc import AsyncGenerator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from langchain_core.messages import AIMessage

from chains.guards.patterns import PatternOptions, Patterns
from chains.parameters import Tool, ToolFunction
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


async def proposed(answering: Answering, *calls: dict[str, Any]) -> Any:
    """The answer that leaves of one that proposes calls."""
    whole = AIMessage(content="", tool_calls=[call | {"id": "1"} for call in calls])

    async def deltas() -> AsyncGenerator[Delta, None]:
        yield Delta(data={"tool_call_chunks": [{"name": call["name"], "args": "{}", "id": "1"} for call in calls]})
        yield Delta(final=whole)

    return [delta async for delta in answering.of(deltas())]


LEAKING = {"name": "zoe.leak@fjordmail.no", "args": {}}


async def test_the_name_of_a_proposed_call_is_searched_as_its_arguments_are(analyser: Analyser) -> None:
    with serving(RequestContext(request_id="r", principal=SYSTEM)):
        told = await proposed(ruled(analyser, "redact"), LEAKING)
        assert "zoe.leak" not in repr(told)
        assert told[-1].final.tool_calls[0]["name"] == "<EMAIL_ADDRESS>"
        assert told[-1].data["tool_call_chunks"][0]["name"] == "<EMAIL_ADDRESS>"
        with pytest.raises(PersonalDataBlocked):
            await proposed(ruled(analyser, "block"), LEAKING)


async def test_the_name_of_a_tool_that_the_caller_offered_stays(analyser: Analyser) -> None:
    policy = Policy.model_validate({"pii": {"*": {"mode": "redact", "on": ["answers"]}}})
    privacy = Privacy(Policies(policy), analyser)
    tool = Tool(function=ToolFunction(name="Maria_Schmidt"))
    answering = Answering(privacy, privacy.modes(Place.ANSWERS), [], SimpleNamespace(tools=[tool]))
    with serving(RequestContext(request_id="r", principal=SYSTEM)):
        told = await proposed(answering, {"name": "Maria_Schmidt", "args": {"to": "olaf@fjordmail.no"}})
    assert told[-1].final.tool_calls[0] | {"type": None, "id": None} == {
        "name": "Maria_Schmidt",
        "args": {"to": "<EMAIL_ADDRESS>"},
        "type": None,
        "id": None,
    }


async def test_a_guard_reads_the_names_of_proposed_calls(analyser: Analyser) -> None:
    guard = Patterns(PatternOptions(deny={"leak": r"zoe\.leak"}), cast("Any", None))
    answering = Answering(Privacy(Policies(), analyser), {}, [Posted(guard, "patterns", blocks=True)], None)
    with serving(RequestContext(request_id="r", principal=SYSTEM)), pytest.raises(GuardBlocked):
        await proposed(answering, LEAKING)
