"""Pydantic's errors in words for people, without its vocabulary and never with what was sent."""

from collections.abc import Mapping
from typing import Any

from retrievers.collections import NAME_PATTERN

#: Of what was told in whole sentences, and the error's code.
INVALID_FILTER = "invalid_filter"
#: What the patterns of names ask for, whatever their length; others are told in general.
_NAMES = "^[a-z0-9][a-z0-9_-]{0,"
_OF_NAMES = "has small letters, digits, - and _, and begins with a letter or digit."


def reason_of(problem: Mapping[str, Any]) -> str:
    """What is wrong, as pydantic says it, but for the one sentence of its that repeats what was sent."""
    if problem.get("type") == "union_tag_invalid":
        asked = problem.get("ctx") or {}
        return f"{asked.get('discriminator', 'its kind')} must be one of {asked.get('expected_tags', 'those that there are')}"
    return str(problem.get("msg", "is not valid")).removeprefix("Value error, ")


def in_words(problem: Mapping[str, Any], field: str) -> str:
    """The sentence to show for one of pydantic's errors (with its `ctx`); `field` is the path to what is wrong, or empty."""
    kind, asked = problem.get("type"), problem.get("ctx") or {}
    if (kind == "string_pattern_mismatch" and asked.get("pattern") == r"\S") or (
        kind == "string_too_short" and asked.get("min_length") == 1
    ):
        return f"The {field.rpartition('.')[2] or 'text'} is empty."
    if kind == INVALID_FILTER:
        return reason_of(problem)
    if kind == "string_pattern_mismatch":
        pattern, last = str(asked.get("pattern", "")), field.rpartition(".")[2]
        if pattern.startswith(_NAMES):
            named = "A collection's name" if pattern == NAME_PATTERN and last != "id" else f"The {last or 'name'}"
            return f"{named} {_OF_NAMES}"
        reason = "it holds characters that are not allowed here"
    else:
        reason = reason_of(problem)
    return f"{field}: {reason}" if field else reason
