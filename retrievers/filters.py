"""What a search may be narrowed by: a mapping of attribute names to exact values, all of which must hold.

`document` (the name), `document_id` and `page` are there for every chunk; every other name is one of the attributes that a
document was given.
"""

import json
from collections.abc import Mapping
from typing import Any

from core.errors import InvalidRequest
from retrievers.base import Chunk

Scalar = str | int | float | bool
RESERVED = frozenset({"document", "document_id", "page"})
_MOST_TERMS = 20


def check(filter: Mapping[str, Any] | None) -> dict[str, Scalar] | None:
    """The filter, None for an empty one.

    Raises:
        InvalidRequest: `invalid_filter`: it is no mapping of names to strings, numbers or booleans.
    """
    if not filter:
        return None
    if not isinstance(filter, Mapping) or len(filter) > _MOST_TERMS:
        raise InvalidRequest(
            f"A filter maps at most {_MOST_TERMS} attribute names to values.", code="invalid_filter", param="filter"
        )
    for name, value in filter.items():
        if not isinstance(name, str) or not name or not isinstance(value, str | int | float | bool):
            raise InvalidRequest(
                "A filter maps attribute names to a string, a number or a boolean each.", code="invalid_filter", param="filter"
            )
        if (isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**63) or value != value:
            raise InvalidRequest("A number of the filter is out of range.", code="invalid_filter", param="filter")
    return dict(filter)


def terms(chunk: Chunk) -> list[str]:
    """What a chunk can be filtered by, as `term` writes it."""
    values: dict[str, Any] = {"document": chunk.document, "document_id": chunk.document_id, "page": chunk.page}
    attributes = {name: value for name, value in chunk.attributes.items() if name not in RESERVED}
    return [term(name, value) for name, value in (attributes | values).items() if isinstance(value, str | int | float | bool)]


def term(name: str, value: Scalar) -> str:
    """One name with its value as one string, equal for equal values: `kind="manual"`; 1 is 1.0, but not true."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**63:
        value = int(value)
    return f"{name}={json.dumps(value, ensure_ascii=False)}"
