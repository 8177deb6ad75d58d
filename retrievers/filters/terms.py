"""A name with a value as one string, as an index of words knows them: `kind="manual"`, equal for equal values."""

import json

from retrievers.base import Chunk
from retrievers.filters.expressions import Scalar
from retrievers.filters.meaning import values_of


def terms(chunk: Chunk) -> list[str]:
    """What a chunk can be filtered by, as `term` writes it."""
    return [term(name, value) for name, value in values_of(chunk).items()]


def term(name: str, value: Scalar) -> str:
    """One name with its value as one string, equal for equal values: 1 is 1.0, but not true."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**63:
        value = int(value)
    return f"{name}={json.dumps(value, ensure_ascii=False)}"


def value_in(term: str, name: str) -> Scalar | None:
    """The value that a term has, which begins with the name and `=`; None where it is of another name, with a `=` in it."""
    written = term[len(name) + 1 :]
    if written.isascii() and written.isdigit():
        return int(written)
    if written[:1] == '"' and "\\" not in written and written.find('"', 1) == len(written) - 1:
        return written[1:-1]  # as `json.loads` would say, in a tenth of its time
    try:
        value = json.loads(written)
    except ValueError:
        return None
    return value if isinstance(value, str | int | float) else None
