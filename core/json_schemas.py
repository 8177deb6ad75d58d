"""Values held to a JSON schema (draft 2020-12) that somebody else has written, in bounded time."""

from collections.abc import Iterable
from functools import lru_cache
from itertools import count
from typing import Any

#: Keywords of a schema that are looked at for one value: a schema may refer to itself without end.
MOST_STEPS = 50_000


class Unusable(ValueError):
    """Whether a value fits cannot be said: the schema refers to what is not in it, has a pattern that RE2 cannot use, or takes
    too long."""


@lru_cache(maxsize=1)
def validator() -> Any:
    """Draft 2020-12 with patterns whose time is bounded."""
    import jsonschema  # .1 s
    import re2

    def fits(_validator: Any, pattern: str, instance: Any, _schema: Any) -> Any:
        if isinstance(instance, str):
            try:
                found = re2.search(pattern, instance)
            except re2.error as error:
                raise ValueError(str(error)) from None
            if not found:
                yield jsonschema.ValidationError("it does not fit the pattern")

    return jsonschema.validators.extend(jsonschema.Draft202012Validator, {"pattern": fits})


def registry() -> Any:
    """Of schemas that are referred to: none, so that nothing is fetched."""
    import referencing

    return referencing.Registry()


def leading_nowhere(schema: dict[str, Any], references: Iterable[str]) -> str | None:
    """The first of the references within a schema (`#/$defs/a`, `#anchor`) to what is not there; None without one, and where
    parts of the schema have an `$id` of their own, by which references mean something else."""
    import referencing.exceptions
    import referencing.jsonschema

    if any(holds(part, "$id") for part in schema.values()):
        return None
    resource = referencing.jsonschema.DRAFT202012.create_resource(schema)
    resolver = registry().with_resource("", resource).resolver()
    for reference in references:
        try:
            resolver.lookup(reference)
        except (referencing.exceptions.Unresolvable, ValueError, TypeError):  # a word for an index; a step into a text
            return reference
    return None


def holds(value: Any, name: str) -> bool:
    """Whether an object anywhere in a JSON value has a member of this name."""
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if name in part:
                return True
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part
    return False


def fits(schema: dict[str, Any], value: Any) -> bool:
    """Whether a value fits a schema.

    Raises:
        Unusable
    """
    import jsonschema
    import referencing.exceptions

    if holds(schema, "patternProperties"):
        raise Unusable
    steps = count()

    def counted(check: Any) -> Any:
        def one(*given: Any) -> Any:
            if next(steps) > MOST_STEPS:
                raise Unusable
            return check(*given)

        return one

    checks = {name: counted(check) for name, check in validator().VALIDATORS.items()}
    try:
        return bool(jsonschema.validators.extend(validator(), checks)(schema, registry=registry()).is_valid(value))
    except (referencing.exceptions.Unresolvable, RecursionError, ValueError, TypeError, AttributeError) as error:
        raise Unusable from error
