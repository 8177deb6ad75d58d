"""Telephone numbers: valid ones by the numbering plans, and digits that are grouped as people group them.

Presidio's own recogniser tries seven countries' plans and finds neither local numbers nor those of the rest of the world.
"""

import re
from collections.abc import Iterator

from core.redaction.entities import Entity, PIIType

_CANDIDATE = re.compile(
    r"(?<![\w@#$€£+./=])(?<!\d[,:-])(?P<number>(?:\+|00)?\(?\+?\d{1,5}\)?(?:[ \u00a0./-]{0,2}\(?\d{1,7}\)?){0,6})"
    r"(?:\s?(?:ext\.?|x|extension)\s?(?P<extension>\d{1,6}))?(?![\w@%€£$]|[.,:/-]\d)"
)
_WORDS = re.compile(
    r"(?i)(?:phone|tel(?:ephone)?\b|mobile|cell\b|call|fax|whats ?app|sms|text me|dial|reach (?:me|us|him|her|them)|"
    r"ring me|hotline|"
    r"contact|number is|my number|answering|office|home|work)\W"
)
#: Words that say that the number is something else.
_OTHERS = re.compile(
    r"(?i)(?:card|account|order|invoice|ticket|policy|licen[cs]e|passport|version|isbn|ssn|social security|tax|zip|postcode|"
    r"box|apt\.?|suite|room|pages?|chapter|model|serial|case|reference|tracking)s?\b(?:\s?(?:number|no\.?|num\.?|nr\.?|id|"
    r"code|is|was|#|:|=|-)){0,4}[\s:#=]{0,3}$"
)
_DATE_LIKE = re.compile(r"(?:19|20)\d\d[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](?:19|20)?\d\d")
_NORTH_AMERICAN = re.compile(r"[2-9]\d{2}[2-9]\d{6}")
_YEAR = re.compile(r"(?:19|20)\d\d")
_AROUND = 40


def find(text: str) -> Iterator[Entity]:
    """The telephone numbers of a text."""
    for match in _CANDIDATE.finditer(text):
        number = match["number"]
        digits = sum(map(str.isdigit, number))
        if not 6 <= digits <= 15 or _DATE_LIKE.fullmatch(number):
            continue
        if score := _score(text, match, number, digits):
            yield Entity(PIIType.PHONE_NUMBER, match.start(), match.end(), score)


def _score(text: str, match: re.Match[str], number: str, digits: int) -> float:
    groups = re.findall(r"\d+", number)
    before = text[max(0, match.start() - _AROUND) : match.start()]
    if _OTHERS.search(before):
        return 0.0
    named = bool(_WORDS.search(before)) or bool(
        re.match(r"(?i)\W{0,3}(?:office|fax|mobile|cell|home|work|phone)", text[match.end() : match.end() + 14])
    )
    if number.startswith(("+", "(+")):
        return 0.9 if digits >= 7 else 0.0
    if number.startswith("00") and digits >= 9:
        return 0.8
    if len(groups) == 1:
        return 0.7 if named and 7 <= digits <= 13 else _by_plan(number, digits)
    if number.startswith("("):
        return 0.8
    if named:
        return 0.8
    return _by_grouping(number, groups, digits)


def _by_plan(number: str, digits: int) -> float:
    """Ungrouped digits without a word beside them: ten that can be North American, or a trunk prefix on which a plan agrees."""
    if _NORTH_AMERICAN.fullmatch(number):
        return 0.45
    if not (number.startswith("0") and 10 <= digits <= 11):
        return 0.0
    import phonenumbers

    for region in ("GB", "DE", "FR", "IT", "ES", "AU"):
        if phonenumbers.is_valid_number(phonenumbers.parse(number, region)):
            return 0.5
    return 0.0


def _by_grouping(number: str, groups: list[str], digits: int) -> float:
    separators = set(re.findall(r"[^\d()]+", number))
    if digits < 7 or len(groups[-1]) < 2 or max(map(len, groups)) > 8:
        return 0.0
    if separators <= {","} or (len(groups) == 2 and "." in separators):
        return 0.0
    if all(len(group) == 4 for group in groups) and digits > 12:
        return 0.0  # a card
    if len(groups) == 2:
        return 0.0 if len(groups[0]) < 2 or all(map(_YEAR.fullmatch, groups)) else 0.5
    return 0.7 if number[0] == "0" or len(separators) == 1 else 0.5
