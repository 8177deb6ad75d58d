"""JSON that callers send: how deep, how large and how odd it may be, decided before anything else looks at it."""

import re

import orjson

from core.errors import InvalidRequest, MalformedJSON, TooLarge

#: JSON values in one body. Fifty conversations of a hundred messages have 20,000; a million would cost pydantic gigabytes.
MAX_VALUES = 50_000
#: Where texts come as tokens: a thousand of them, as LangChain's `OpenAIEmbeddings` sends at once, with 300 tokens each.
_MANY_VALUES = {"/v1/embeddings": 300_000}
_STRUCTURE = re.compile(rb'"(?:[^"\\]++|\\.)*+"|([\[{])|([\]}])|(,)', re.DOTALL)
_STRING_OR_NUMBER = re.compile(rb'"(?:[^"\\]++|\\.)*+"|(-?\d[\d.eE+-]*)', re.DOTALL)
_LONG_NUMBER = re.compile(rb"\d{18}")
_MAX_INTEGER = 2**63


def most_values(path: str) -> int:
    """How many values a body for the path may hold."""
    return _MANY_VALUES.get(path, MAX_VALUES)


def check_json(body: bytes, max_depth: int, max_values: int = MAX_VALUES, *, around: int = 0) -> None:
    """Refuse JSON that is none, or that would hurt whoever reads it. `around`: levels about the body that are not its own.

    Raises:
        MalformedJSON: syntax, lone surrogates, NaN or infinity, bytes that are no UTF-8; `json_too_deep`.
        TooLarge: `json_too_large`, too many values.
        InvalidRequest: `number_too_large`, an integer beyond 64 bits; `invalid_text`, a NUL character.
    """
    # counting bytes is cheap and mostly enough; only a body with many of them is walked through
    opening = body.count(b"[") + body.count(b"{")
    if opening > max_depth + around or opening + body.count(b",") > max_values:
        _check_structure(body, max_depth, max_values, around)
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedJSON(f"The body is not valid JSON: {error.msg} (at character {error.pos}).") from None
    if _LONG_NUMBER.search(body):
        for match in _STRING_OR_NUMBER.finditer(body):
            number = match[1]
            if number is not None and number.lstrip(b"-").isdigit() and (len(number) > 20 or abs(int(number)) >= _MAX_INTEGER):
                raise InvalidRequest("A number in the body is beyond 64 bits.", code="number_too_large")
    if b"\\u0000" in body and "\0" in _all_text(body):
        raise InvalidRequest("A text in the body holds a NUL character.", code="invalid_text")


def _check_structure(body: bytes, max_depth: int, max_values: int, around: int) -> None:
    depth, values = -around, 1
    for match in _STRUCTURE.finditer(body):
        kind = match.lastindex
        if kind == 1:
            depth += 1
            values += 1
            if depth > max_depth:
                raise MalformedJSON(f"The body is nested deeper than {max_depth} levels.", code="json_too_deep")
        elif kind == 2:
            depth -= 1
        elif kind == 3:
            values += 1
        if values > max_values:
            raise TooLarge(f"The body holds more than {max_values} values.", code="json_too_large")


def _all_text(body: bytes) -> str:
    """The body as text with its escapes of NUL undone: an escaped backslash before `u0000` is no NUL."""
    return re.sub(r"\\(u0000|.)", lambda match: "\0" if match[1] == "u0000" else "", body.decode(), flags=re.DOTALL)
