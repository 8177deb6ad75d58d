"""The other guards: topics by the bundled embedding model, patterns, schemas, and a moderation endpoint at the wire."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp import web

from chains.guards import GUARDS
from chains.guards.base import Finding, Guard
from chains.guards.json_schema import JSONSchema
from chains.guards.moderation import Moderation
from chains.guards.patterns import Patterns
from chains.guards.topics import Topics
from chains.protection.guarding import checked
from core.errors import DataPolicyRefused, InvalidRequest, Unavailable
from core.policies.policy import GuardRule, Policy
from core.policies.store import Policies
from core.settings import Settings
from providers.models import Models
from tests.fakes.openai import OpenAIFake
from tests.fakes.wire import Fake, Sent, Step


def guard(kind: type[Guard], options: dict[str, Any], models: Any = None) -> Guard:
    made = kind.options_type.model_validate(options)
    kind.check(made)
    return kind(made, models)


@pytest.mark.parametrize("name", GUARDS)
def test_a_row_is_a_guard_that_stands_somewhere(name: str) -> None:
    kind = GUARDS.load(name)
    assert issubclass(kind, Guard)
    assert set(kind.usual) <= kind.sides
    assert kind.usual


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return Models(Settings.load(data_dir=tmp_path_factory.mktemp("models")))


async def test_a_denied_topic_is_found_also_within_a_long_text(models: Models) -> None:
    topics = guard(Topics, {"deny": ["medical advice about drugs and dosage", "gambling and betting"]}, models)
    asked = "Which dosage of ibuprofen should I take for my headache?"
    filler = "The train to Berlin leaves at nine and arrives at noon. The station is next to the market. " * 8
    for text in (asked, filler + asked + filler):
        found = await topics.ainvoke(text)
        assert found is not None
        assert found.reason.startswith("medical")
    assert await topics.ainvoke("When does the train to Berlin leave?") is None
    assert await topics.ainvoke(filler) is None


async def test_what_is_about_no_allowed_topic_is_found(models: Models) -> None:
    topics = guard(Topics, {"allow": ["questions about train travel and timetables"], "threshold": 0.3}, models)
    assert await topics.ainvoke("When does the next train to Berlin leave?") is None
    assert await topics.ainvoke("How do I bake sourdough bread?") == Finding("off_topic", pytest.approx(0.9, abs=0.3))


async def test_a_pattern_names_itself_and_its_time_is_bounded() -> None:
    patterns = guard(Patterns, {"deny": {"project": r"project\s+x\d+", "hostile": r"(a+)+b"}})
    assert await patterns.ainvoke("About Project X17.") == Finding("project")
    started = time.process_time()
    assert await patterns.ainvoke("a" * 50_000) is None
    assert time.process_time() - started < 5  # a backtracking engine would take longer than the universe is old
    exact = guard(Patterns, {"deny": {"project": "Project"}, "ignore_case": False})
    assert await exact.ainvoke("project") is None


@pytest.mark.parametrize(
    "text",
    ["ze\u200bbrafish", "zebra\u00adfish", "zеbrаfish", "ｚｅｂｒａｆｉｓｈ", "zébrafïsh", "ᴢᴇʙʀᴀғɪѕʜ"],  # noqa: RUF001
)
async def test_a_pattern_is_found_behind_what_nobody_sees_and_letters_that_look_alike(text: str) -> None:
    patterns = guard(Patterns, {"deny": {"fish": "zebrafish"}})
    assert await patterns.ainvoke(f"the {text} project") == Finding("fish")


@pytest.mark.parametrize(
    "text",
    [
        'run({"name": "Operation\\nM\\u00fcller"})',
        'run("{\\"name\\": \\"operation \\\\u006d\\\\u00fcller\\"}")',
        '```json\n{"name": "operation\\tm\\u00FCller"}\n```',
    ],
)
async def test_a_pattern_is_found_in_what_json_writes_otherwise(text: str) -> None:
    patterns = guard(Patterns, {"deny": {"name": r"operation\s+müller"}})
    assert await patterns.ainvoke(text) == Finding("name")


async def test_a_pattern_of_another_alphabet_is_found_as_it_stands() -> None:
    patterns = guard(Patterns, {"deny": {"code name": "проект\\s+заря", "firm": "Müller"}})
    assert await patterns.ainvoke("о Проект Заря говорят") == Finding("code name")  # noqa: RUF001
    assert await patterns.ainvoke("bei Müller") == Finding("firm")


async def test_what_stands_beside_what_was_said_need_not_be_about_an_allowed_topic(models: Models) -> None:
    options = {"allow": ["questions about train travel"], "deny": ["gambling and betting"]}
    topics = guard(Topics, options, models)
    assert await topics.read("How do I bake sourdough bread?") is not None
    assert await topics.read_beside("How do I bake sourdough bread?") is None
    assert await topics.read_beside("Tell me how to win at gambling and betting.") is not None


async def test_an_answer_must_be_json_that_fits() -> None:
    schema = {"type": "object", "properties": {"code": {"type": "string", "pattern": "^(a+)+$"}}, "required": ["code"]}
    fits = guard(JSONSchema, {"schema": schema})
    assert await fits.ainvoke('{"code": "aaa"}') is None
    assert await fits.ainvoke('{"code": "' + "a" * 5000 + 'b"}') == Finding("does_not_fit")
    assert await fits.ainvoke("{}") == Finding("does_not_fit")
    assert await fits.ainvoke("code: aaa") == Finding("no_json")


def test_options_are_checked_with_the_guards_name_and_nothing_else() -> None:
    rule = GuardRule.model_validate({"guard": "patterns", "options": {"deny": {"bad": "("}}})
    with pytest.raises(InvalidRequest) as refusal:
        checked(rule)
    assert (refusal.value.code, refusal.value.message) == ("invalid_guard", "patterns: deny.bad: RE2 cannot use this pattern")


class ModerationFake(OpenAIFake):
    """Flags what says `hurt`."""

    answer: Any = None

    async def respond(self, request: web.Request, sent: Sent, step: Step) -> web.StreamResponse:
        hurts = "hurt" in sent.body["input"]
        scores = {"violence/graphic": 0.9 if hurts else 0.01, "hate": 0.1}
        result = {"flagged": hurts, "categories": {"violence/graphic": hurts, "hate": False}, "category_scores": scores}
        return web.json_response(self.answer if self.answer is not None else {"results": [result]})


@pytest.fixture
def endpoint() -> Iterator[ModerationFake]:
    with ModerationFake() as fake:
        yield fake


def at(endpoint: Fake, settings: Settings, **policy: Any) -> Models:
    url = f"{endpoint.url}/v1"
    configured = Settings.load(data_dir=settings.data_dir, providers={"openai_compatible:m": {"base_url": url}})
    return Models(configured, Policies(Policy.model_validate(policy)))


async def test_a_moderation_endpoint_scores_by_category(endpoint: ModerationFake, settings: Settings) -> None:
    models = at(endpoint, settings, pii={"*": "redact"})
    moderation = guard(Moderation, {"provider": "openai_compatible:m", "categories": ["violence"]}, models)
    assert await moderation.ainvoke("I will hurt Maria Schmidt.") == Finding("violence/graphic")
    assert endpoint.last.body == {"model": "omni-moderation-latest", "input": "I will hurt <PERSON>."}
    assert await moderation.ainvoke("I like you.") is None
    other = guard(Moderation, {"provider": "openai_compatible:m", "categories": ["hate"]}, models)
    assert await other.ainvoke("I will hurt Maria Schmidt.") is None
    endpoint.answer = {"results": []}
    with pytest.raises(Unavailable) as failure:
        await moderation.ainvoke("Hello.")
    assert failure.value.code == "moderation_unavailable"
    await models.close()


async def test_a_moderation_endpoint_is_held_to_the_data_policy(endpoint: ModerationFake, settings: Settings) -> None:
    models = at(endpoint, settings, data={"providers": ["openai"]})
    with pytest.raises(DataPolicyRefused):
        await guard(Moderation, {"provider": "openai_compatible:m"}, models).ainvoke("Hello.")
    assert endpoint.sent == []
