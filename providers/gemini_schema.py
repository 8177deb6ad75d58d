"""JSON schemas in Gemini's form: a part of OpenAPI's, in which null is an attribute, a value is a text, and nothing refers to
anything. What it has no word for is left out; what it cannot say at all is another deployment's to take.

cloud.google.com/vertex-ai/docs/reference/rest/v1beta1/Schema, November 2026.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from core.errors import UnsupportedFeature

#: Keywords that mean the same in both forms.
_SAME = (
    "title", "description", "pattern", "minimum", "maximum", "minItems", "maxItems",
    "minLength", "maxLength", "minProperties", "maxProperties",
)  # fmt: skip
_FORMATS = frozenset({"date", "date-time", "time", "duration", "float", "double", "int32", "int64"})
_TYPES: dict[type, str] = {bool: "boolean", int: "integer", float: "number", str: "string", dict: "object", list: "array"}
_OF_THE_SDK = {
    "format": "format_",
    "minItems": "min_items",
    "maxItems": "max_items",
    "minLength": "min_length",
    "maxLength": "max_length",
    "minProperties": "min_properties",
    "maxProperties": "max_properties",
}
#: So deep a schema may go into itself or its parts; those that refer to themselves have no end.
_DEEPEST = 40
#: So many parts it may have, once what it refers to stands in its place.
_MOST_PARTS = 5_000


def in_geminis_form(schema: Mapping[str, Any], param: str) -> dict[str, Any]:
    """The schema, with the names that Gemini's REST interface has for its parts.

    Raises:
        UnsupportedFeature: it has no such form, as one that refers to itself; it names `param`.
    """
    return _Translation(schema, param).of(schema)


def as_the_sdk_has_it(form: Mapping[str, Any]) -> dict[str, Any]:
    """A schema in Gemini's form with the names that Google's SDK has for its parts."""
    made: dict[str, Any] = {}
    for name, value in form.items():
        if name == "properties":
            made[name] = {key: as_the_sdk_has_it(part) for key, part in value.items()}
        elif name == "anyOf":
            made["any_of"] = [as_the_sdk_has_it(part) for part in value]
        elif name == "items":
            made[name] = as_the_sdk_has_it(value)
        elif name == "type":
            made["type_"] = value.upper()
        else:
            made[_OF_THE_SDK.get(name, name)] = value
    return made


def tools_in_geminis_form(tools: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Tools in OpenAI's form, whose parameters are in Gemini's.

    Raises:
        UnsupportedFeature: those of one have no such form.
    """
    return [
        tool | {"function": tool["function"] | {"parameters": in_geminis_form(tool["function"]["parameters"], "tools")}}
        if tool.get("function", {}).get("parameters")
        else tool
        for tool in tools
    ]


class _Translation:
    """Of one schema."""

    def __init__(self, whole: Mapping[str, Any], param: str) -> None:
        self._whole, self._param = whole, param
        self._parts = 0

    def of(self, schema: Any, depth: int = 0) -> dict[str, Any]:
        self._parts += 1
        if depth > _DEEPEST or self._parts > _MOST_PARTS:
            raise self._unfit()
        if schema is True:
            return {}
        if not isinstance(schema, Mapping):
            raise self._unfit()
        given = self._referred(schema, depth)
        made: dict[str, Any] = {name: given[name] for name in _SAME if given.get(name) is not None}
        if given.get("format") in _FORMATS:
            made["format"] = given["format"]
        if given.get("nullable") is True:
            made["nullable"] = True
        self._of_type(given, made, depth)
        self._of_values(given, made)
        self._of_parts(given, made, depth)
        return made

    def _referred(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        """The schema with what it refers to, and what it is all of, in their place."""
        given = dict(schema)
        for _ in range(_DEEPEST):
            if "$ref" in given:
                target = self._found(str(given.pop("$ref")))
                given = {**target, **given}
            elif "allOf" in given:
                for part in given.pop("allOf"):
                    given = _merged(given, self._referred(part, depth + 1) if isinstance(part, Mapping) else {})
            else:
                return given
        raise self._unfit()

    def _found(self, reference: str) -> Mapping[str, Any]:
        found: Any = self._whole
        for name in reference.removeprefix("#").strip("/").split("/"):
            if name:
                key = name.replace("~1", "/").replace("~0", "~")
                found = found.get(key) if isinstance(found, Mapping) else None
        if not isinstance(found, Mapping):
            raise self._unfit()
        return found

    def _of_type(self, given: dict[str, Any], made: dict[str, Any], depth: int) -> None:
        """Its type; of several, all but null are alternatives."""
        kind = given.get("type")
        kinds = [kind] if isinstance(kind, str) else list(kind or ())
        if "null" in kinds:
            kinds.remove("null")
            made["nullable"] = True
        if len(kinds) == 1:
            made["type"] = kinds[0]
        elif kinds:
            rest = {name: value for name, value in given.items() if name not in ("type", "title", "description")}
            made["anyOf"] = [self.of(rest | {"type": each}, depth + 1) for each in kinds]
            for name in ("properties", "required", "items", "enum", "const"):
                given.pop(name, None)
        elif "properties" in given:
            made["type"] = "object"
        elif "items" in given:
            made["type"] = "array"

    def _of_values(self, given: dict[str, Any], made: dict[str, Any]) -> None:
        """The values that it names, which are texts, whatever their type; of truth and of wholes it names none."""
        values = [given["const"]] if "const" in given else given.get("enum")
        if not isinstance(values, list):
            return
        if None in values:
            made["nullable"] = True
            values = [value for value in values if value is not None]
        kinds = {_TYPES.get(type(value), "string") for value in values}
        if len(kinds) == 1:
            made.setdefault("type", kinds.pop())
        if made.get("type") == "string":
            values = [value for value in values if isinstance(value, str)]
        elif made.get("type") in ("integer", "number"):
            values = [str(value) for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
        else:
            return
        if values:
            made |= {"enum": values, "format": "enum"}

    def _of_parts(self, given: dict[str, Any], made: dict[str, Any], depth: int) -> None:
        if isinstance(properties := given.get("properties"), Mapping) and properties:
            made["properties"] = {name: self.of(part, depth + 1) for name, part in properties.items()}
            if required := [name for name in given.get("required") or () if name in properties]:
                made["required"] = required
        if made.get("type") == "array":
            items = given.get("items", given.get("prefixItems", True))
            made["items"] = self.of({"anyOf": items} if isinstance(items, list) and items else items or True, depth + 1)
        choices = given.get("anyOf") or given.get("oneOf")
        if isinstance(choices, list):
            left = [choice for choice in choices if not _is_null(choice)]
            if len(left) < len(choices):
                made["nullable"] = True
            made_of = [self.of(choice, depth + 1) for choice in left]
            if len(made_of) == 1:
                made |= made_of[0] | {name: made[name] for name in ("title", "description", "nullable") if name in made}
            elif made_of:
                made["anyOf"] = made_of

    def _unfit(self) -> UnsupportedFeature:
        return UnsupportedFeature("Gemini has no form for this schema.", code="schema_not_supported", param=self._param)


def _is_null(schema: Any) -> bool:
    return isinstance(schema, Mapping) and (schema.get("type") in ("null", ["null"]) or schema.get("const", ...) is None)


def _merged(first: dict[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """What holds for both: the second's word where both have one."""
    together = {**first, **second}
    for name, join in (("properties", dict), ("required", list)):
        if name in first and name in second:
            together[name] = {**first[name], **second[name]} if join is dict else [*first[name], *second[name]]
    return together
