"""Answers in a given form from deployments that call tools and have no grammar, alone and after another has failed."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from langchain_core.tools import tool
from pydantic import BaseModel

from core.errors import UnsupportedFeature
from core.settings import Settings
from providers.base import ModelFacts
from providers.form_by_tool import asking_by_tool, by_tool
from providers.models import Models
from tests.fakes.clouds import CLOUDS, PATIENT
from tests.fakes.wire import Break, Fake, Fault, Reply

OSLO = {"city": "Oslo", "degrees": 3}


class Weather(BaseModel):
    """A reading."""

    city: str
    degrees: int


@tool
def look_up(city: str) -> str:
    """Look up a city."""
    return city


FORM = {"type": "json_schema", "json_schema": {"name": "Weather", "schema": Weather.model_json_schema(), "strict": True}}
GIVEN = Reply("", calls=[("Weather", OSLO)])
#: Without a grammar: by its facts, and by an operator's word.
FORMLESS = ["vertex-claude", "compatible"]


@pytest.fixture(scope="module")
def running() -> Iterator[dict[str, Fake]]:
    with CLOUDS["openai"].start() as first, CLOUDS["vertex-claude"].start() as claude, CLOUDS["compatible"].start() as other:
        yield {"openai": first, "vertex-claude": claude, "compatible": other}


@pytest.fixture(params=FORMLESS)
def formless(request: pytest.FixtureRequest, running: dict[str, Fake]) -> Fake:
    for fake in running.values():
        fake.clear()
    return running[request.param]


@pytest.fixture
def first(running: dict[str, Fake]) -> Fake:
    return running["openai"]


@pytest.fixture
async def models(settings: Settings, running: dict[str, Fake], formless: Fake) -> AsyncIterator[Models]:
    name = next(name for name, fake in running.items() if fake is formless)
    here, there = (
        CLOUDS["openai"].deployment(),
        CLOUDS[name].deployment(**({"structured_output": False} if name == "compatible" else {})),
    )
    made = Models(
        Settings.load(
            data_dir=settings.data_dir,
            models=[{"alias": "default", "deployments": [here, there]}, {"alias": "alone", "deployments": [there]}],
            providers={
                cloud.provider: cloud.settings(running[key]) for key, cloud in CLOUDS.items() if key in ("openai", name)
            },
            timeouts=PATIENT,
        )
    )
    await made.warm(local=False)
    yield made
    await made.close()


async def ask(model: Any, way: str, **parameters: Any) -> Any:
    model.deployments[-1].standing.token_s.value = 1e-9 if way == "at-once" else None
    if way != "stream":
        return await model.ainvoke("Oslo?", **parameters)
    chunks = [chunk async for chunk in model.astream("Oslo?", **parameters)]
    return sum(chunks[1:], chunks[0])


@pytest.mark.parametrize("way", ["gathered", "at-once", "stream"])
async def test_a_form_is_given_by_a_tool(models: Models, formless: Fake, way: str) -> None:
    formless.then(GIVEN)
    answer = await ask(models.chat("alone"), way, response_format=FORM)
    assert Weather.model_validate_json(answer.text) == Weather(city="Oslo", degrees=3)
    assert not answer.tool_calls
    assert not answer.additional_kwargs.get("tool_calls")
    assert not ({"tool_calls", "tool_use"} & set(map(str, answer.response_metadata.values())))
    assert answer.usage_metadata["output_tokens"] == 5
    body = formless.last.body
    assert "response_format" not in body
    names = [each.get("name") or each["function"]["name"] for each in body["tools"]]
    chosen = body["tool_choice"]
    assert (names, chosen.get("name") or chosen["function"]["name"]) == (["Weather"], "Weather")


@pytest.mark.parametrize("include_raw", [False, True])
async def test_structured_output_works_and_fails_over(models: Models, first: Fake, formless: Fake, include_raw: bool) -> None:
    first.always(Fault.UNAVAILABLE)
    formless.always(GIVEN)
    for alias in ("alone", "default"):
        bound = models.chat(alias).with_structured_output(Weather, include_raw=include_raw)
        answer: Any = await bound.ainvoke("Oslo?")
        assert (answer["parsed"] if include_raw else answer) == Weather(city="Oslo", degrees=3)
    assert [part async for part in models.chat("alone").with_structured_output(Weather).astream("Oslo?")][-1]


@pytest.mark.parametrize("way", ["gathered", "at-once", "stream"])
@pytest.mark.parametrize(
    "reply",
    [
        Reply("", calls=[("Weather", {"city": "Oslo", "degrees": "three"})]),
        Reply("", calls=[("Weather", {})]),
        Reply("It is cold."),
        Reply("", calls=[("look_up", OSLO)]),
    ],
    ids=["wrong-type", "lacking", "prose", "another-tool"],
)
async def test_an_answer_that_does_not_keep_to_the_form_is_none(models: Models, formless: Fake, way: str, reply: Reply) -> None:
    formless.always(reply)
    with pytest.raises(UnsupportedFeature, match="keep to the response format"):
        await ask(models.chat("alone"), way, response_format=FORM)
    assert models.chat("alone").deployments[0].standing.breaker.closed
    assert models.chat("alone").deployments[0].standing.in_flight == 0


async def test_json_in_words_is_taken_where_it_fits(models: Models, formless: Fake) -> None:
    formless.then(Reply('{"city": "Oslo", "degrees": 3}'))
    assert (await ask(models.chat("alone"), "stream", response_format=FORM)).text == '{"city": "Oslo", "degrees": 3}'


async def test_what_the_model_needs_first_is_called(models: Models, formless: Fake) -> None:
    formless.then(Reply("", calls=[("look_up", {"city": "Oslo"})]))
    answer = await models.chat("alone").bind_tools([look_up]).ainvoke("Oslo?", response_format=FORM)
    assert [(call["name"], call["args"]) for call in answer.tool_calls] == [("look_up", {"city": "Oslo"})]
    assert {"tool_calls", "tool_use"} & set(map(str, answer.response_metadata.values()))
    names = [each.get("name") or each["function"]["name"] for each in formless.last.body["tools"]]
    assert names == ["look_up", "Weather"]


async def test_a_form_that_was_begun_is_not_gone_on_with_by_a_tool(models: Models, first: Fake, formless: Fake) -> None:
    first.always(Break(Fault.CUT, 3, Reply('{"city": "Oslo", "degrees": 3}')))
    with pytest.raises(Exception, match="cut after it had begun"):
        await ask(models.chat(), "stream", response_format=FORM)
    assert not formless.asked


async def test_any_json_object_is_no_form_for_a_tool(models: Models, formless: Fake) -> None:
    with pytest.raises(UnsupportedFeature):
        await ask(models.chat("alone"), "stream", response_format={"type": "json_object"})
    assert not formless.asked


def test_a_tool_takes_objects_alone() -> None:
    listed = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "array"}}}
    assert by_tool(ModelFacts(tools=True), {"response_format": FORM})
    assert not by_tool(ModelFacts(tools=True), {"response_format": listed})
    assert not by_tool(ModelFacts(tools=True, structured_output=True), {"response_format": FORM})
    assert not by_tool(ModelFacts(), {"response_format": FORM})


def test_a_certain_tool_that_must_be_called_is_the_answer() -> None:
    choice = {"type": "function", "function": {"name": "look_up"}}
    tools = [{"type": "function", "function": {"name": "Weather", "parameters": {}}}]
    asked, form = asking_by_tool({"tools": tools, "tool_choice": choice, "response_format": FORM})
    assert (asked, form) == ({"tools": tools, "tool_choice": choice}, None)
    asked, _ = asking_by_tool({"tools": tools, "response_format": FORM})
    assert [each["function"]["name"] for each in asked["tools"]] == ["Weather", "Weather_answer"]
    assert asked["tool_choice"] == "required"
