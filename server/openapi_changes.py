"""Which differences between two OpenAPI documents break the callers of the older one.

What callers send may only become more permissive; what they get may only gain fields. Descriptions, examples and titles
are free.
"""

from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]
_METHODS = ("get", "put", "post", "delete", "patch", "head", "options")
_SEND, _GET = "send", "get"
#: Upper bounds and lower bounds on what may be sent.
_TIGHTER_IF_LESS = ("maximum", "exclusiveMaximum", "maxLength", "maxItems")
_TIGHTER_IF_MORE = ("minimum", "exclusiveMinimum", "minLength", "minItems")


def breaking_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """One line for each change that breaks a caller of `old`; empty when there is none."""
    return [
        change
        for path, methods in old["paths"].items()
        for method, operation in methods.items()
        if method in _METHODS
        for change in _operation(f"{method.upper()} {path}", operation, new["paths"].get(path, {}).get(method), old, new)
    ]


def _operation(
    where: str, before: Schema, after: Schema | None, old: Mapping[str, Any], new: Mapping[str, Any]
) -> Iterator[str]:
    if after is None:
        yield f"{where} is gone"
        return
    compare = _Comparison(old, new)
    yield from _parameters(where, before, after, compare)
    was, now = before.get("requestBody", {}), after.get("requestBody", {})
    if now.get("required") and not was.get("required"):
        yield f"{where} asks for a body"
    for media_type, content in was.get("content", {}).items():
        if media_type not in now.get("content", {}):
            yield f"{where} takes no {media_type} any more"
        else:
            yield from compare.schemas(
                f"{where} body", content.get("schema", {}), now["content"][media_type].get("schema", {}), _SEND
            )
    for status, response in before.get("responses", {}).items():
        if not status.startswith("2"):
            continue
        if status not in after.get("responses", {}):
            yield f"{where} does not answer {status} any more"
            continue
        for media_type, content in response.get("content", {}).items():
            got = after["responses"][status].get("content", {})
            if media_type not in got:
                yield f"{where} answers no {media_type} any more"
            else:
                yield from compare.schemas(
                    f"{where} answer", content.get("schema", {}), got[media_type].get("schema", {}), _GET
                )


def _parameters(where: str, before: Schema, after: Schema, compare: "_Comparison") -> Iterator[str]:
    was = {(item["in"], item["name"]): item for item in before.get("parameters", ())}
    now = {(item["in"], item["name"]): item for item in after.get("parameters", ())}
    for name in was.keys() - now.keys():
        yield f"{where} does not know the {name[0]} parameter {name[1]} any more"
    for name, item in now.items():
        if item.get("required") and not was.get(name, {}).get("required"):
            yield f"{where} asks for the {name[0]} parameter {name[1]}"
        if name in was:
            yield from compare.schemas(f"{where} {name[1]}", was[name].get("schema", {}), item.get("schema", {}), _SEND)


class _Comparison:
    """Compares schemas of two documents, each resolving references in its own. A pair is looked at once."""

    def __init__(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        self._old, self._new = old, new
        self._seen: set[tuple[str, str, str]] = set()

    def schemas(self, where: str, before: Schema, after: Schema, direction: str) -> Iterator[str]:
        """The breaking differences of two schemas for what is sent, or for what is got."""
        references = (str(before.get("$ref")), str(after.get("$ref")), direction)
        if "$ref" in before and references in self._seen:
            return
        self._seen.add(references)
        before, after = _resolve(before, self._old), _resolve(after, self._new)
        yield from _types(where, before, after, direction)
        yield from _enumerations(where, before, after, direction)
        if direction == _SEND:
            yield from _bounds(where, before, after)
        yield from self._properties(where, before, after, direction)
        if isinstance(before.get("items"), Mapping) and isinstance(after.get("items"), Mapping):
            yield from self.schemas(f"{where}[]", before["items"], after["items"], direction)

    def _properties(self, where: str, before: Schema, after: Schema, direction: str) -> Iterator[str]:
        was, now = before.get("properties", {}), after.get("properties", {})
        if direction == _SEND:
            for name in sorted(set(after.get("required", ())) - set(before.get("required", ()))):
                yield f"{where}: {name} must be given now"
        else:
            for name in sorted(set(before.get("required", ())) & now.keys() - set(after.get("required", ()))):
                yield f"{where}: {name} may be missing now"
        for name, schema in was.items():
            if name in now:
                yield from self.schemas(f"{where}: {name}", schema, now[name], direction)
            elif direction == _GET or after.get("additionalProperties") is False:
                yield f"{where}: {name} is gone"


def _types(where: str, before: Schema, after: Schema, direction: str) -> Iterator[str]:
    was, now = _kinds(before), _kinds(after)
    narrowed = was - now if direction == _SEND else now - was
    if was and now and narrowed:
        verb = "takes no" if direction == _SEND else "may be"
        yield f"{where} {verb} {', '.join(sorted(narrowed))}{' any more' if direction == _SEND else ' now'}"


def _kinds(schema: Schema) -> set[str]:
    """The JSON types that a schema allows; an integer is a number. Empty when anything goes or it is a reference."""
    if "anyOf" in schema or "oneOf" in schema:
        options = [_kinds(option) for option in (*schema.get("anyOf", ()), *schema.get("oneOf", ()))]
        return set().union(*options) if all(options) else set()
    kind = schema.get("type", ())
    kinds = {kind} if isinstance(kind, str) else set(kind)
    return kinds | {"integer"} if "number" in kinds else kinds


def _enumerations(where: str, before: Schema, after: Schema, direction: str) -> Iterator[str]:
    was, now = before.get("enum"), after.get("enum")
    if direction == _SEND and now is not None:
        for value in [value for value in was or ("any other value",) if value not in now]:
            yield f"{where} takes no {value!r} any more"


def _bounds(where: str, before: Schema, after: Schema) -> Iterator[str]:
    for name in (*_TIGHTER_IF_LESS, *_TIGHTER_IF_MORE):
        was, now = before.get(name), after.get(name)
        if now is None:
            continue
        tighter = was is None or (now < was if name in _TIGHTER_IF_LESS else now > was)
        if tighter:
            yield f"{where}: {name} is {now} now"
    if after.get("pattern") is not None and after.get("pattern") != before.get("pattern"):
        yield f"{where}: it must match {after['pattern']} now"


def _resolve(schema: Schema, document: Mapping[str, Any]) -> Schema:
    while "$ref" in schema:
        target: Any = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part.replace("~1", "/").replace("~0", "~")]
        schema = target
    return schema
