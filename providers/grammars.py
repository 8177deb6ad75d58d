"""How large a grammar a JSON schema makes. llama.cpp holds each token to it, and no cancellation reaches it meanwhile: one of
tens of thousands of alternatives takes minutes a token, for all callers."""

import re
from collections.abc import Mapping
from math import prod
from typing import Any

#: Keywords whose number the grammar repeats something as often as.
_REPEATS = ("minItems", "maxItems", "minLength", "maxLength")
_REPETITION = re.compile(r"\{(\d*),?(\d*)\}")
#: Characters of a literal that count as one rule.
_CHARACTERS_A_RULE = 16


def rules_of(parameters: Mapping[str, Any]) -> int:
    """About as many rules as the schemas in a call's parameters make: of the answer's form, and of the tools."""
    form = parameters.get("response_format") or {}
    schemas = [form.get("json_schema", {}).get("schema", {})]
    schemas += [tool.get("function", {}).get("parameters", {}) for tool in parameters.get("tools") or ()]
    return sum(map(_size, schemas))


def _size(schema: Any) -> int:
    size, waiting = 0, [schema]
    while waiting:
        part = waiting.pop()
        size += 1
        if isinstance(part, Mapping):
            for name, value in part.items():
                size += len(name) // _CHARACTERS_A_RULE
                if name in _REPEATS and isinstance(value, int | float):
                    size += int(min(value, 10**9))
                elif name == "pattern" and isinstance(value, str):
                    size += len(value) + _repetitions(value)
                else:
                    waiting.append(value)
        elif isinstance(part, list):
            waiting += part
        elif isinstance(part, str):
            size += len(part) // _CHARACTERS_A_RULE
    return size


def _repetitions(pattern: str) -> int:
    """How often the innermost may be repeated, were all repetitions within each other."""
    counts = [max(int(number[:9]) for number in found if number) for found in _REPETITION.findall(pattern) if any(found)]
    return prod(counts) if counts else 0
