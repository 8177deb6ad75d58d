"""Places: countries by name, and what stands where a place does (`lives in …`, `moved from …`)."""

import re
from collections.abc import Iterator
from functools import cache

from core.redaction.entities import Entity, PIIType
from core.redaction.wordlists import words

#: Countries that are given names, birds or words as well: only with a capital, and not at the beginning of a sentence alone.
_DOUBTFUL = frozenset(
    {"chad", "georgia", "jordan", "turkey", "jersey", "mali", "niger", "oman", "guinea", "maine", "holland", "reunion"}
)
#: Only in capitals.
_SHORT = frozenset({"us", "uk", "usa", "uae", "u.s.", "u.k.", "u.s.a."})

_NAME = r"[^\W\d_a-z][^\W\d_]*(?:['’.-][^\W\d_]+)*"
_PARTICLE = r"(?:de|da|do|dos|das|del|di|la|le|les|el|al|am|an|der|den|im|of|on|sur|sous|upon|und|y|e|pod|nad|w|v)"
_AFTER_CUE = re.compile(
    r"\b(?:[Ii]n|near|around|from|visit(?:ed|ing|s)?|(?:city|town|village) of|(?:live[sd]?|living|born|raised|grew up|"
    r"office|arrived|arrives|"
    r"stay(?:s|ed|ing)?|years?|conference|meeting) at|(?:mov(?:ed?|ing)|travel+(?:s|ed|ing)?|fl(?:y|ew|ying)|go(?:es|"
    r"ing)?|went|trip|flight|"
    r"drive|drove|come|came|comes|coming|return(?:ed|ing)?|way|back) (?:here |there |away |home )?to) (?:downtown |central )?"
    rf"(?P<place>{_NAME}(?:[ -](?:{_PARTICLE}[ -]){{0,2}}{_NAME}){{0,3}})"
)
_NO_PLACE = words("not_places")


_WORD = re.compile(r"[^\W\d_]+(?:['’.-][^\W\d_]+)*\.?")


@cache
def _countries() -> dict[str, list[str]]:
    """The names by their first words, in small letters, the longest first. A pattern of them all takes four times as long."""
    names: dict[str, list[str]] = {}
    for name in sorted((name.lower() for name in words("places")), key=len, reverse=True):
        first = _WORD.match(name)
        names.setdefault(first[0] if first else name, []).append(name)
    return names


def _named_countries(text: str) -> Iterator[Entity]:
    countries = _countries()
    end = 0
    for word in _WORD.finditer(text):
        if word.start() < end:
            continue
        low = word[0].lower()
        for name in countries.get(low, []) or countries.get(low.rstrip("."), []):
            end = word.start() + len(name)
            found = text[word.start() : end]
            if found.lower() != name or text[end : end + 1].isalnum():
                continue
            doubtful = name in _DOUBTFUL or name in _SHORT
            if not doubtful or (found.isupper() if name in _SHORT else found.istitle()):
                yield Entity(PIIType.LOCATION, word.start(), end, 0.55 if doubtful else 0.8)
                break
        else:
            end = 0


def find(text: str) -> Iterator[Entity]:
    """The places of a text that can be told without a model."""
    yield from _named_countries(text)
    for match in _AFTER_CUE.finditer(text):
        place = match["place"]
        if place.split()[0].split("'")[0].lower() not in _NO_PLACE:
            yield Entity(PIIType.LOCATION, *match.span("place"), 0.5)


def is_country(text: str) -> bool:
    """Whether the whole of it is a country's or a state's name."""
    first = _WORD.match(text)
    return first is not None and text.lower() in _countries().get(first[0].lower(), ())
