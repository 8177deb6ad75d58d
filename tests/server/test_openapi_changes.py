"""Which changes of the API break its callers, and which do not."""

import copy
from typing import Any

import pytest

from server.openapi_changes import breaking_changes

DOCUMENT: dict[str, Any] = {
    "paths": {
        "/things": {
            "get": {
                "parameters": [{"in": "query", "name": "limit", "schema": {"type": "integer", "maximum": 200}}],
                "responses": {"200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}}},
            },
            "post": {
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/New"}}},
                },
                "responses": {"201": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}}},
            },
        }
    },
    "components": {
        "schemas": {
            "New": {
                "type": "object",
                "additionalProperties": False,
                "required": ["name"],
                "properties": {
                    "name": {"type": "string", "maxLength": 100},
                    "kind": {"enum": ["a", "b"]},
                    "parts": {"type": "array", "items": {"$ref": "#/components/schemas/New"}},
                    "size": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
                },
            },
            "Thing": {
                "type": "object",
                "required": ["id"],
                "properties": {"id": {"type": "string"}, "note": {"anyOf": [{"type": "string"}, {"type": "null"}]}},
            },
        }
    },
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """The document with the member at `path` set, or removed with `value` None."""
    document = copy.deepcopy(DOCUMENT)
    *above, last = path.split(" ")
    place: Any = document
    for part in above:
        place = place[int(part)] if isinstance(place, list) else place[part]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return document


NEW, THING = "components schemas New", "components schemas Thing"


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("paths /things", None, "GET /things is gone"),
        ("paths /things post", None, "POST /things is gone"),
        ("paths /things get parameters", [], "limit"),
        ("paths /things get parameters 0 required", True, "asks for the query parameter limit"),
        ("paths /things get parameters 0 schema maximum", 50, "maximum is 50"),
        ("paths /things post responses", {"200": {}}, "does not answer 201"),
        (f"{NEW} required", ["name", "kind"], "kind must be given"),
        (f"{NEW} properties kind", None, "kind is gone"),
        (f"{NEW} properties kind enum", ["a"], "takes no 'b'"),
        (f"{NEW} properties name type", "integer", "takes no string"),
        (f"{NEW} properties name maxLength", 10, "maxLength is 10"),
        (f"{NEW} properties name pattern", "^a", "must match"),
        (f"{NEW} properties size", {"type": "integer"}, "takes no null"),
        (f"{NEW} properties parts items", {"type": "string"}, "takes no object"),
        (f"{THING} properties note", None, "note is gone"),
        (f"{THING} properties id type", "integer", "may be integer"),
        (f"{THING} required", [], "id may be missing"),
    ],
)
def test_a_change_that_breaks_callers_is_named(path: str, value: Any, said: str) -> None:
    changes = breaking_changes(DOCUMENT, changed(path, value))
    assert any(said in change for change in changes), changes


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("paths /new", {"get": {"responses": {}}}),
        ("paths /things get summary", "Words"),
        (f"{NEW} required", []),
        (f"{NEW} properties colour", {"type": "string"}),
        (f"{NEW} properties kind enum", ["a", "b", "c"]),
        (f"{NEW} properties name maxLength", 1000),
        (f"{NEW} properties name type", ["string", "integer"]),
        (f"{THING} properties more", {"type": "string"}),
        (f"{THING} required", ["id", "note"]),
        (f"{THING} properties note", {"type": "string"}),
        (f"{THING} description", "Words"),
    ],
)
def test_a_change_that_callers_do_not_feel_is_free(path: str, value: Any) -> None:
    assert breaking_changes(DOCUMENT, changed(path, value)) == []
