"""Schemas as clients write them reach Gemini in its own form, and one that has none is another deployment's to take."""

from collections.abc import Iterator
from typing import Any

import pytest

from core.errors import UnsupportedFeature
from core.settings import Settings
from providers.gemini_schema import in_geminis_form
from providers.models import Models
from tests.fakes.clouds import CLOUDS, installation
from tests.fakes.vertex import VertexFake
from tests.fakes.wire import Reply

TEXT = {"type": "string"}
RECURSIVE = {"type": "object", "properties": {"left": {"$ref": "#"}}}
STRICT = {
    "type": "object",
    "title": "Flat",
    "properties": {"name": TEXT | {"minLength": 1}, "kind": {"anyOf": [{"$ref": "#/$defs/K"}, {"type": "null"}]}},
    "required": ["name", "kind"],
    "additionalProperties": False,
    "$defs": {"K": {"anyOf": [{"type": "integer"}, {"const": "none"}]}},
}
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.mark.parametrize(
    ("schema", "form"),
    [
        ({"type": ["string", "null"]}, TEXT | {"nullable": True}),
        ({"type": ["integer", "string"]}, {"anyOf": [{"type": "integer"}, TEXT]}),
        ({"type": "integer", "enum": [1, 2]}, {"type": "integer", "format": "enum", "enum": ["1", "2"]}),
        ({"const": "a"}, TEXT | {"format": "enum", "enum": ["a"]}),
        ({"enum": [True, None]}, {"type": "boolean", "nullable": True}),
        ({"oneOf": [TEXT, {"type": "integer"}]}, {"anyOf": [TEXT, {"type": "integer"}]}),
        ({"anyOf": [TEXT, {"type": "null"}], "title": "A"}, TEXT | {"nullable": True, "title": "A"}),
        ({"allOf": [TEXT, {"minLength": 2}], "default": "ab"}, TEXT | {"minLength": 2}),
        ({"type": "string", "format": "email"}, TEXT),
        ({"type": "array"}, {"type": "array", "items": {}}),
        ({"type": "object", "additionalProperties": TEXT, "required": ["a"]}, {"type": "object"}),
        (
            STRICT,
            {
                "type": "object",
                "title": "Flat",
                "properties": {
                    "name": TEXT | {"minLength": 1},
                    "kind": {"nullable": True, "anyOf": [{"type": "integer"}, TEXT | {"format": "enum", "enum": ["none"]}]},
                },
                "required": ["name", "kind"],
            },
        ),
    ],
)
def test_a_schema_in_geminis_form(schema: dict[str, Any], form: dict[str, Any]) -> None:
    assert in_geminis_form(schema, "tools") == form


@pytest.mark.parametrize(
    "schema", [RECURSIVE, {"not": {}, "properties": {"a": False}}, {"$ref": "#/$defs/Nowhere"}, {"$ref": "#"}]
)
def test_a_schema_without_such_a_form_is_refused_by_its_parameter(schema: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedFeature) as refused:
        in_geminis_form(schema, "tools")
    assert refused.value.param == "tools"


@pytest.fixture(scope="module")
def fake() -> Iterator[VertexFake]:
    with CLOUDS["vertex"].start() as running:
        yield running  # type: ignore[misc] # it is Vertex AI's


@pytest.fixture
async def models(settings: Settings, fake: VertexFake) -> Any:
    fake.clear()
    with CLOUDS["openai"].start() as other:
        made = Models(Settings.load(data_dir=settings.data_dir, **installation({"vertex": fake, "openai": other})))
        await made.warm(local=False)
        yield made
        await made.close()


def tools_of(schema: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"type": "function", "function": {"name": "f", "description": "It.", "parameters": schema}}]


@pytest.mark.parametrize("whole", [True, False])
async def test_what_strict_clients_write_reaches_gemini(models: Models, fake: VertexFake, whole: bool) -> None:
    fake.always(Reply('{"name": "a", "kind": null}'))
    form = {"type": "json_schema", "json_schema": {"name": "flat", "schema": STRICT}}
    optional = {"type": "object", "properties": {"a": {"type": ["string", "null"]}, "n": {"type": "integer", "enum": [1]}}}
    for asked in ({"response_format": form}, {"tools": tools_of(optional)}, {"seed": 2**40 + 7}):
        if whole:
            await models.chat().ainvoke("Hi", **asked)
        else:
            assert [chunk async for chunk in models.chat().astream("Hi", **asked)]
    first, second, third = (sent.body for sent in fake.sent)
    assert first["generationConfig"]["responseSchema"]["properties"]["name"] == {"type": "STRING", "minLength": "1"}
    parameters = second["tools"][0]["functionDeclarations"][0]["parameters"]["properties"]
    assert parameters["a"] == {"type": "STRING", "nullable": True}
    assert parameters["n"] == {"type": "INTEGER", "format": "enum", "enum": ["1"]}
    assert third["generationConfig"]["seed"] == 7


async def test_what_gemini_cannot_be_told_goes_to_the_next_and_counts_against_nobody(models: Models, fake: VertexFake) -> None:
    for asked in (
        {"tools": tools_of(RECURSIVE)},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "r", "schema": RECURSIVE}}},
        {"tools": tools_of({"type": "object", "properties": {"a": TEXT | {"minLength": 1e30}}})},
    ):
        for _ in range(3):
            assert (await models.chat().ainvoke("Hi", **asked)).response_metadata["provider"] == "openai"
    assert fake.sent == []
    assert all(served.standing.breaker.closed for served in models.chat().deployments)
