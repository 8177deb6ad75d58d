"""Postal addresses in a text: their numbers count nothing, and their names are nobody's."""

import re

_ADDRESS = re.compile(
    r"(?:\b\d{1,4}[a-z]?,?\s+)?(?:\b[A-Z][\w'’-]*\s+){1,3}(?:[Ss]treet|[Ll]ane|[Rr]oad|[Aa]venue|[Tt]errace|[Ss]quare|[Dd]rive|"
    r"[Cc]ourt|[Cc]rescent|[Gg]ardens|[Qq]uay)\b|\b\w+(?:straße|strasse|gasse|platz|weg)\s+\d{1,4}[a-z]?\b"
)


def without_addresses(text: str) -> str:
    """The text without them."""
    return _ADDRESS.sub(" ", text)
