"""Places: countries by name, and what stands where a place does (`lives in …`, `moved from …`)."""

import re
from collections.abc import Iterator
from functools import cache

from core.redaction.entities import Entity, PIIType
from core.redaction.wordlists import words

#: Countries that are given names, birds or words as well: only with a capital, and not at the beginning of a sentence alone.
_DOUBTFUL = frozenset(
    {"chad", "georgia", "jordan", "turkey", "jersey", "us", "u.s.", "mali", "niger", "oman", "guinea", "maine", "holland"}
)

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


@cache
def _countries() -> tuple[re.Pattern[str], re.Pattern[str]]:
    names = sorted(words("places"), key=len, reverse=True)
    anyhow = "|".join(re.escape(name) for name in names if name.lower() not in _DOUBTFUL and len(name) > 3)
    exactly = "|".join(re.escape(name) for name in names if name.lower() in _DOUBTFUL or len(name) <= 3)
    return re.compile(rf"(?i)(?<!\w)(?:{anyhow})(?!\w)"), re.compile(rf"(?<!\w)(?:{exactly})(?!\w)")


def find(text: str) -> Iterator[Entity]:
    """The places of a text that can be told without a model."""
    anyhow, exactly = _countries()
    for match in anyhow.finditer(text):
        yield Entity(PIIType.LOCATION, *match.span(), 0.8)
    for match in exactly.finditer(text):
        yield Entity(PIIType.LOCATION, *match.span(), 0.55)
    for match in _AFTER_CUE.finditer(text):
        place = match["place"]
        if place.split()[0].split("'")[0].lower() not in _NO_PLACE:
            yield Entity(PIIType.LOCATION, *match.span("place"), 0.5)


def is_country(text: str) -> bool:
    """Whether the whole of it is a country's or a state's name."""
    return any(pattern.fullmatch(text) for pattern in _countries())
