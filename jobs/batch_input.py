"""A batch's input file: one request a line, in OpenAI's form.

`{"custom_id": "…", "method": "POST", "url": "/v1/chat/completions", "body": {…}}`
(platform.openai.com/docs/api-reference/batch/request-input, November 2025).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from core.batch_work import NewRow
from core.json_bodies import check_json, most_values

MOST_ERRORS = 100
LONGEST_ID = 512
#: A request's bytes, as much as a request with pictures may have by itself.
LONGEST_LINE = 24 * 2**20
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_FIELDS = frozenset({"custom_id", "method", "url", "body"})


def read_input(path: Path, endpoint: str, *, most: int) -> tuple[list[NewRow], list[dict[str, Any]]]:
    """The rows of a file, and what is wrong with it: `code`, `message`, `line`, `param`, 100 at most. Blocking.

    What is in a body is not looked at: it is answered as the request by itself would be.
    """
    rows: list[NewRow] = []
    errors: list[dict[str, Any]] = []
    known: set[str] = set()
    for number, position, line in _lines(path):
        if len(rows) >= most:
            errors.append(_error("too_many_requests", f"A batch has at most {most} requests.", number))
            break
        wrong, custom_id = _look_at(line, endpoint, known, number)
        if wrong is None:
            known.add(custom_id)
            rows.append(NewRow(number, custom_id, position, len(line)))
        else:
            errors.append(wrong)
            if len(errors) >= MOST_ERRORS:
                break
    if not rows and not errors:
        errors.append(_error("empty_file", "The file holds no request.", 1))
    return rows, errors


def read_row(path: Path, position: int, length: int, endpoint: str, *, most_depth: int) -> Any:
    """The body of one request, within the bounds that it would have by itself. Blocking, short.

    Raises:
        MalformedJSON, TooLarge, InvalidRequest: see `core.json_bodies.check_json`.
    """
    with path.open("rb") as file:
        file.seek(position)
        line = file.read(length)
    check_json(line, most_depth, most_values(endpoint), around=1)
    return orjson.loads(line)["body"]


def _lines(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """Lines that are not blank, without a byte order mark, with their number from 1 and their position in bytes."""
    position = 0
    with path.open("rb") as file:
        for number, line in enumerate(iter(lambda: file.readline(LONGEST_LINE + 1), b""), 1):
            bare = line.removeprefix(_BYTE_ORDER_MARK)
            if bare.strip():
                yield number, position + len(line) - len(bare), bare
            if len(line) > LONGEST_LINE:
                return
            position += len(line)


def _look_at(line: bytes, endpoint: str, known: set[str], number: int) -> tuple[dict[str, Any] | None, str]:
    """What is wrong with a line, None where nothing is; and its custom_id."""
    if len(line) > LONGEST_LINE:
        return _error("line_too_long", f"A line has at most {LONGEST_LINE} bytes.", number), ""
    try:
        asked = orjson.loads(line)
    except orjson.JSONDecodeError:
        return _error("invalid_json_line", "This line is not parseable as valid JSON.", number), ""
    if not isinstance(asked, dict):
        return _error("invalid_json_line", "Each line must be a JSON object.", number), ""
    custom_id = asked.get("custom_id")
    if not isinstance(custom_id, str) or not 0 < len(custom_id) <= LONGEST_ID or "\0" in custom_id:
        text = f"Each request needs a custom_id of 1 to {LONGEST_ID} characters."
        return _error("invalid_custom_id", text, number, "custom_id"), ""
    if custom_id in known:
        return _error("duplicate_custom_id", "Each request needs a custom_id of its own.", number, "custom_id"), ""
    if asked.get("method") != "POST":
        return _error("invalid_method", "The method must be POST.", number, "method"), ""
    if asked.get("url") != endpoint:
        return _error("mismatched_endpoint", f"The url must be the batch's endpoint, {endpoint}.", number, "url"), ""
    if not isinstance(asked.get("body"), dict):
        return _error("invalid_body", "The body must be a JSON object.", number, "body"), ""
    if unknown := sorted(asked.keys() - _FIELDS):
        return _error("unknown_parameter", "A request has custom_id, method, url and body.", number, unknown[0][:100]), ""
    return None, custom_id


def _error(code: str, message: str, line: int, param: str | None = None) -> dict[str, Any]:
    return {"code": code, "message": message, "line": line, "param": param}
