"""Tags of a request: what its caller wants costs told apart by, in the header `x-genai-tags: team=search, feature=summary`."""

import re

from core.errors import InvalidRequest

TAGS = "x-genai-tags"
MOST = 16
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,126}[\x21-\x7e])?")


def tags_of(header: str) -> dict[str, str]:
    """The tags by name.

    Raises:
        InvalidRequest: `invalid_tags`: not `name=value` with commas between, a name twice, or more than `MOST`.
    """
    if not header:
        return {}
    tags: dict[str, str] = {}
    for pair in header.split(","):
        name, _, value = (part.strip() for part in pair.partition("="))
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value) or name in tags:
            raise _invalid()
        tags[name] = value
    if len(tags) > MOST:
        raise _invalid()
    return tags


def _invalid() -> InvalidRequest:
    return InvalidRequest(
        f"{TAGS} has up to {MOST} tags, as in 'team=search, feature=summary': names of 64 letters, digits, '_', '.' and '-', "
        "values of 128 characters.",
        code="invalid_tags",
        param=TAGS,
    )
