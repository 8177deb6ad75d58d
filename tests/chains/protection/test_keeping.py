"""Kept conversations under policies that are newer than they are: what of them reaches a provider at the wire."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

import pytest

from chains.chat import SPEC
from chains.conversations import Conversations
from chains.root import OpaqueRoot
from chains.spec import ChainDeps
from core.context import RequestContext, serving
from core.database import Database
from core.errors import GuardBlocked, PersonalDataBlocked
from core.policies.policy import Policy
from core.policies.store import Policies
from core.principals import SYSTEM
from core.settings import Settings
from providers.models import Models
from tests.fakes.openai import MODEL, OpenAIFake
from tests.fakes.wire import Reply

ANN = replace(SYSTEM, id="key_ann")
NIGHTFALL = {"guard": "patterns", "on": ["inputs"], "options": {"deny": {"code name": "nightfall"}}}
MODERATION = {"guard": "moderation", "on": ["inputs"], "options": {"alias": "judge"}}
KEY = "AKIA" + "IOSFODNN7EXAMPLE"


@dataclass
class Desk:
    root: OpaqueRoot
    policies: Policies
    chat: OpenAIFake
    judge: OpenAIFake
    conversations: Conversations

    async def say(self, *messages: Any, **more: Any) -> Any:
        said = [{"role": "user", "content": one} if isinstance(one, str) else one for one in messages]
        with serving(RequestContext("req", ANN)):
            return await self.root.ainvoke({"messages": said, "session_id": "s", **more})

    def policy(self, **sections: Any) -> None:
        self.policies.defaults = Policy.model_validate(sections)
        self.chat.clear()
        self.judge.clear()

    @property
    def sent(self) -> str:
        return json.dumps([each.body for each in self.chat.asked], ensure_ascii=False)


@pytest.fixture
def fakes() -> Iterator[tuple[OpenAIFake, OpenAIFake]]:
    with OpenAIFake() as chat, OpenAIFake() as judge:
        yield chat, judge


@pytest.fixture
async def desk(settings: Settings, database: Database, fakes: tuple[OpenAIFake, OpenAIFake]) -> AsyncIterator[Desk]:
    chat, judge = fakes
    settings = Settings.load(
        data_dir=settings.data_dir,
        models=[
            {"alias": "default", "deployments": [{"provider": "openai", "model": MODEL}]},
            {"alias": "judge", "deployments": [{"provider": "openai_compatible:judge", "model": "llama"}]},
        ],
        providers={
            "openai": {"base_url": chat.base_url, "api_key": "sk-secret"},
            "openai_compatible:judge": {"base_url": judge.base_url},
        },
    )
    policies = Policies()
    models, conversations = Models(settings, policies), Conversations(database)
    root = SPEC.build(ChainDeps(settings, models, cast("Any", None), conversations))
    yield Desk(root, policies, chat, judge, conversations)
    await models.close()


async def test_a_guard_that_is_newer_than_a_session_reads_what_was_kept_before_it_is_sent(desk: Desk) -> None:
    await desk.say("It is about nightfall.")
    desk.policy(guards=[NIGHTFALL])
    with pytest.raises(GuardBlocked, match="another session_id"):
        await desk.say("Go on.")
    assert desk.sent == "[]"
    await desk.say("Go on.", session_id="another")
    desk.policy(guards=[NIGHTFALL | {"options": {"deny": {"code name": "sunrise"}}}])
    await desk.say("Go on.")
    assert "nightfall" in desk.sent


async def test_what_a_model_said_and_called_is_read_as_well(desk: Desk) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": '{"a": "nightfall"}'}}
    result = {"role": "tool", "tool_call_id": "call_1", "content": "fine"}
    await desk.say("Look it up.", {"role": "assistant", "tool_calls": [call]}, result)
    desk.policy(guards=[NIGHTFALL])
    with pytest.raises(GuardBlocked):
        await desk.say("Go on.")
    desk.policy()
    desk.chat.always(Reply("It is about nightfall."))
    await desk.say("What is it about?", session_id="said")
    desk.policy(guards=[NIGHTFALL])
    with pytest.raises(GuardBlocked):
        await desk.say("Go on.", session_id="said")
    assert desk.sent == "[]"


async def test_what_goes_into_no_prompt_is_not_read(desk: Desk) -> None:
    await desk.say({"role": "system", "content": "It is about nightfall."}, "Hello.")
    desk.policy(guards=[NIGHTFALL])
    await desk.say({"role": "system", "content": "It is about something else."}, "Hello again.")
    assert "nightfall" not in desk.sent


async def test_a_guard_reads_each_message_once_for_as_long_as_it_stays_as_it_is(desk: Desk) -> None:
    await desk.say("one")
    desk.policy(guards=[MODERATION])
    desk.judge.always(Reply("SAFE"))
    await desk.say("two")
    assert len(desk.judge.asked) == 3  # what is new, and the first turn
    desk.judge.clear()
    desk.judge.always(Reply("SAFE"))
    await desk.say("three")
    assert len(desk.judge.asked) == 2  # what is new, and the answer before
    desk.policy(guards=[MODERATION, NIGHTFALL])
    desk.judge.always(Reply("SAFE"))
    await desk.say("four")
    assert len(desk.judge.asked) == 2
    desk.policy(guards=[MODERATION | {"mode": "monitor"}])
    desk.judge.always(Reply("SAFE"))
    await desk.say("five")
    assert len(desk.judge.asked) == 9  # set otherwise: all of it


async def test_what_was_only_monitored_does_not_count_as_passed_once_it_blocks(desk: Desk) -> None:
    desk.policy(guards=[NIGHTFALL | {"mode": "monitor"}])
    await desk.say("It is about nightfall.")
    desk.policy(guards=[NIGHTFALL])
    with pytest.raises(GuardBlocked):
        await desk.say("Go on.")


@pytest.mark.parametrize("where", ["text", "identifier"])
async def test_a_secret_in_what_was_kept_does_not_leave_once_it_is_blocked(desk: Desk, where: str) -> None:
    call = {"id": f"call_{KEY}", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}
    result = {"role": "tool", "tool_call_id": f"call_{KEY}", "content": "fine"}
    if where == "text":
        await desk.say(f"The key is {KEY}.")
    else:
        await desk.say("Look it up.", {"role": "assistant", "tool_calls": [call]}, result)
    desk.policy(pii={"*": {"mode": "block", "types": ["SECRET"]}})
    with pytest.raises(PersonalDataBlocked):
        await desk.say("Go on.")
    assert desk.sent == "[]"


async def test_values_that_were_kept_go_out_redacted_once_that_is_asked_for_and_stay_their_owners(desk: Desk) -> None:
    await desk.say("Please write to maria.schmidt@example.org.")
    desk.policy(pii={"*": "redact"}, guards=[NIGHTFALL])
    await desk.say("Go on.")
    assert "<EMAIL_ADDRESS>" in desk.sent
    assert "maria.schmidt" not in desk.sent
    kept = await desk.conversations.history(ANN, "s")
    assert kept[0].content == "Please write to maria.schmidt@example.org."
    assert len(kept) == 4
