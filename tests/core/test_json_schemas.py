"""Values are held to schemas of others in bounded time, and nothing is fetched."""

from typing import Any

import pytest

from core.json_schemas import Unusable, fits

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"pattern": "^x+$"}}, "required": ["a"]}
#: Each refers twice to the one before: 2 to the power of 40 looks at one value.
ENDLESS = {"$defs": {"0": {"type": "string"}} | {str(n): {"allOf": [{"$ref": f"#/$defs/{n - 1}"}] * 2} for n in range(1, 41)}}


@pytest.mark.parametrize(
    ("value", "fitting"), [({"a": 1, "b": "xx"}, True), ({"a": "1"}, False), ({}, False), ({"a": 1, "b": "y"}, False)]
)
def test_a_value_fits_or_not(value: Any, fitting: bool) -> None:
    assert fits(SCHEMA, value) is fitting


@pytest.mark.parametrize(
    "schema",
    [
        ENDLESS | {"$ref": "#/$defs/40"},
        {"$ref": "#"},
        {"$ref": "http://127.0.0.1:9/schema"},
        {"pattern": "(?<=a)b"},
        {"properties": {"a": {"patternProperties": {"(a+)+$": {}}}}},
        {"type": 5},
    ],
    ids=["endless", "itself", "elsewhere", "pattern", "pattern-properties", "no-schema"],
)
def test_what_cannot_be_said_is_not_guessed(schema: dict[str, Any]) -> None:
    with pytest.raises(Unusable):
        fits(schema, "a")
