from dataclasses import replace
from typing import Any, cast

import pytest
from langchain_core.messages import AIMessage

from chains.chat import SPEC
from chains.conversations import Conversations
from chains.messages import Assistant, ToolCall, User
from chains.root import OpaqueRoot
from chains.spec import ChainDeps
from core.context import RequestContext, serving
from core.database import Database
from core.errors import NotFound, ProviderFailed
from core.principals import SYSTEM
from core.settings import Settings
from providers.base import ModelFacts
from tests.chains.fakes import ScriptedChat, ScriptedModels

ANN = replace(SYSTEM, id="key_ann")


def chat(settings: Settings, models: ScriptedModels, database: Database | None = None) -> OpaqueRoot:
    conversations = Conversations(database) if database else None
    return SPEC.build(ChainDeps(settings, cast("Any", models), cast("Any", None), cast("Any", conversations)))


def say(text: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], **more}


def texts(prompt: Any) -> list[str]:
    return [message.text for message in prompt]


async def test_a_reply_is_a_message_with_its_usage_and_its_model(settings: Settings) -> None:
    reply = await chat(settings, ScriptedModels()).ainvoke(say("hello"))
    assert isinstance(reply, AIMessage)
    assert reply.content == "You said: hello"
    assert reply.usage_metadata == {"input_tokens": 1, "output_tokens": 3, "total_tokens": 4}
    assert reply.response_metadata == {"finish_reason": "stop", "model_name": "words-1", "model_provider": "scripted"}


async def test_a_session_goes_on_where_it_ended(settings: Settings, database: Database) -> None:
    models = ScriptedModels()
    root = chat(settings, models, database)
    with serving(RequestContext("req", ANN)):
        await root.ainvoke({"messages": [{"role": "system", "content": "be kind"}, *say("one")["messages"]], "session_id": "s"})
        await root.ainvoke(say("two", session_id="s"))
    assert texts(models.model.prompts[-1]) == ["be kind", "one", "You said: one", "two"]
    assert len(await Conversations(database).history(ANN, "s")) == 5


async def test_a_new_system_message_replaces_the_kept_one(settings: Settings, database: Database) -> None:
    models = ScriptedModels()
    root = chat(settings, models, database)
    await root.ainvoke({"messages": [{"role": "system", "content": "old"}, *say("one")["messages"]], "session_id": "s"})
    await root.ainvoke({"messages": [{"role": "system", "content": "new"}, *say("two")["messages"]], "session_id": "s"})
    assert texts(models.model.prompts[-1]) == ["new", "one", "You said: one", "two"]


async def test_an_answer_that_was_cut_is_not_kept(settings: Settings, database: Database) -> None:
    root = chat(settings, ScriptedModels(), database)
    with pytest.raises(ProviderFailed):
        await root.ainvoke(say("cut", session_id="s"))
    assert await Conversations(database).history(SYSTEM, "s") == []


async def test_the_history_in_a_prompt_is_bounded(settings: Settings, database: Database) -> None:
    models = ScriptedModels(facts=ModelFacts(context_tokens=60))
    root = chat(settings, models, database)
    for number in range(12):
        await root.ainvoke(say(f"message {number}", session_id="s"))
    prompt = texts(models.model.prompts[-1])
    assert prompt[-1] == "message 11"
    assert 3 <= len(prompt) <= 7
    assert prompt[0].startswith("message")


async def test_a_long_message_that_fits_by_itself_leaves_out_the_oldest_turns(settings: Settings, database: Database) -> None:
    models = ScriptedModels(facts=ModelFacts(context_tokens=100))
    root = chat(settings, models, database)
    for number in range(6):
        await root.ainvoke(say(f"message {number}", session_id="s"))
    await root.ainvoke(say("long " * 60, session_id="s", max_tokens=20))
    prompt = texts(models.model.prompts[-1])
    assert sum(len(text.split()) + 4 for text in prompt) <= 80
    assert prompt[0] == "message 5"
    tool = {"type": "function", "function": {"name": "look", "description": "word " * 60, "parameters": {"type": "object"}}}
    await root.ainvoke(say("now", session_id="s", tools=[tool]))
    assert texts(models.model.prompts[-1]) == ["now"]


async def test_results_of_tools_go_with_their_calls_and_their_question_whatever_these_take(
    settings: Settings, database: Database
) -> None:
    models = ScriptedModels()
    root, kept = chat(settings, models, database), Conversations(database)
    call = ToolCall(id="1", name="look", args={"for": "it"})
    await kept.append(SYSTEM, "s", [User(content="old"), Assistant(content="answer")])
    await kept.append(SYSTEM, "s", [User(content="long " * 3000), Assistant(tool_calls=[call])])
    await root.ainvoke({"messages": [{"role": "tool", "tool_call_id": "1", "content": "found"}], "session_id": "s"})
    question, calling, result = models.model.prompts[-1]
    assert (question.text[:5], [each["id"] for each in calling.tool_calls], result.text) == ("long ", ["1"], "found")


async def test_a_call_that_was_never_answered_is_left_out_of_what_comes_after_it(
    settings: Settings, database: Database
) -> None:
    models = ScriptedModels()
    root, kept = chat(settings, models, database), Conversations(database)
    calls = [ToolCall(id="1", name="look", args={"for": "it"})]
    await kept.append(SYSTEM, "s", [User(content="look"), Assistant(tool_calls=calls)])
    await root.ainvoke(say("never mind", session_id="s"))
    assert texts(models.model.prompts[-1]) == ["look", "never mind"]


async def test_an_unknown_model_is_told_before_any_call(settings: Settings) -> None:
    models = ScriptedModels()
    with pytest.raises(NotFound) as caught:
        await chat(settings, models).ainvoke(say("x", model="none"))
    assert caught.value.code == "model_not_found"
    assert models.model.prompts == []


async def test_a_small_model_gets_a_few_plain_words_where_the_caller_gives_none(settings: Settings) -> None:
    models = ScriptedModels(ScriptedChat(), ModelFacts(small=True))
    await chat(settings, models).ainvoke(say("x"))
    await chat(settings, models).ainvoke({"messages": [{"role": "system", "content": "mine"}, *say("x")["messages"]]})
    assert [prompt[0].type for prompt in models.model.prompts] == ["system", "system"]
    assert texts(models.model.prompts[1]) == ["mine", "x"]


async def test_a_flat_answer_names_its_session_where_it_has_one(settings: Settings, database: Database) -> None:
    root = chat(settings, ScriptedModels(), database)
    with serving(RequestContext("req", ANN)):
        told = [[delta.final async for delta in root.answer(asked)][-1] for asked in (say("one", session_id="s"), say("one"))]
    assert [final.get("session_id") for final in told] == ["s", None]
