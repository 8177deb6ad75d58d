"""A request's path as logs may hold it: of keys that somebody has written into it no more than their kind."""

import re

from core.keys import KEY_PREFIX
from core.redaction import credentials
from server.access.tokens import REFRESH_PREFIX

MOST = 200
#: A key or a refresh token of ours, also one that was cut short.
_KEYS = re.compile(rf"({KEY_PREFIX}|{REFRESH_PREFIX})[\w-]{{16,}}")
#: An identifier of ours, which is no secret.
_IDENTIFIER = re.compile(r"(?<=/)[a-z]{2,12}_[A-Za-z0-9]{16}(?=/|$)")
#: Nothing shorter has the form of a key, and hardly one without a digit is drawn by lot.
_LONG = re.compile(r"(?<![\w.+=~:-])(?=[\w.+=~:-]{16})[\w.+=~:-]*[0-9]")
#: So long a run of letters and digits is a name of nothing that people name; a secret without a form of its own is.
_DRAWN = re.compile(r"(?<![A-Za-z0-9])(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])[A-Za-z0-9]{20,}")
_LEFT = 4


def shown(path: str) -> str:
    """The path without secrets, and at most `MOST` characters of it. Costs next to nothing where it is made of words and our
    identifiers."""
    path = _KEYS.sub(r"\1…", path)
    if _LONG.search(_IDENTIFIER.sub("", path)):
        for secret in sorted(credentials.find(path), key=lambda each: each.start, reverse=True):
            path = f"{path[: secret.start + _LEFT]}…{path[secret.end :]}"
        path = _DRAWN.sub(lambda run: f"{run[0][:_LEFT]}…", path)
    return path[:MOST]
