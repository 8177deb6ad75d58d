"""People and their callings: titles before names, professions, names that are introduced, companies by legal form."""

import re
from collections.abc import Iterator

from core.redaction.entities import Entity, PIIType
from core.redaction.wordlists import words

_NAME = r"[^\W\d_a-z](?:\.|[^\W\d_]*(?:['’-][^\W\d_]+)*)"
_NAMES = rf"{_NAME}(?: (?:(?:van|von|de|da|del|der|den|di|bin|al|la|le|dos|ter) ){{0,2}}{_NAME}){{0,3}}"
_ANY_NAME = r"[^\W\d_]{2,}(?:['’-][^\W\d_]+)*"

_HONORIFIC = re.compile(
    r"(?<!\w)(?<!\d )(?P<title>(?i:mrs?|ms|dr|prof|mx|rev|hon|sr|sra|herr|frau|mme|mlle)\.(?=[ \n]?[^\W\d_])|(?:Mrs?|Ms|"
    r"Dr|Prof|Mx|Herr|Frau|"
    rf"Mme|Mlle|Miss|Sir|Madame|Monsieur|Professor|Doctor|Señora?|Se[nñ]or)(?= [^\W\d_a-z]))(?P<name> ?{_NAMES})?"
)
_MISS = re.compile(
    r"(?i)(?<!\w)(?<!\d )(?P<title>miss|mrs?|ms|dr)\.? (?P<name>[^\W\d_]{2,}(?:['’-][^\W\d_]+)*)(?=[ .,!?:;\n]|$)"
)
_INTRODUCED = re.compile(
    r"(?i:\b(?:my (?:full |first |last |maiden |sur)?name(?: is|'s|:)|(?:first |last |full |maiden |sur)?name(?: is|:)|"
    r"maiden name is|"
    rf"i am called|call me|signed(?: by)?:?|sincerely,?|regards,?|it'?s under|attn\.?:?|contact:|speak(?:ing)? (?:to|"
    rf"with)|dear))\s{{1,8}}(?P<name>{_NAMES})"
)
_INTRODUCED_ANYHOW = re.compile(
    rf"(?i)\b(?:my (?:full )?name is|what'?s your name\?|(?:^|\n)name:|maiden name is)\s{{1,8}}(?P<name>{_ANY_NAME}"
    rf"(?: {_ANY_NAME}){{0,2}})(?=\s*(?:[.,!?;\n]|$|and\b))"
)
_NO_NAME = frozenset(
    [
        "the",
        "this",
        "that",
        "it",
        "a",
        "an",
        "not",
        "no",
        "sir",
        "madam",
        "all",
        "team",
        "customer",
        "everyone",
        "support",
        "is",
        "and",
        "please",
        "here",
        "our",
        "your",
        "my",
        "his",
        "her",
    ]
)

_COMPANY = re.compile(
    rf"(?<!\w)(?P<name>{_NAME}(?:(?:,? and |, | & |,? |-){_NAME}){{0,4}},? (?:Inc|LLC|L\.L\.C|Ltd|LTD|PLC|Plc|plc|Corp|"
    rf"Corporation|GmbH|gmbh|S\.?A|AG|B\.?V|N\.?V|Group|"
    r"Limited|Company|Co|LLP|Oy|Oyj|AB|AS|A/S|ApS|KG|S\.?r\.?l|S\.?p\.?A|Pty Ltd|Holdings|Partners|Associates|Foundation|"
    r"University|"
    r"Bank|Sons)\b\.?|[^\W\d_]{2,20} (?:inc|llc|ltd|plc)\b\.?)(?![\w-])"
)

_PROFESSION = rf"(?:{'|'.join(sorted(words('professions')))})"
_JOB_LINE = re.compile(rf"(?im)^[ \t>?*-]*(?P<job>(?:[^\W\d_]+[ ,/&-]{{1,2}}){{0,4}}{_PROFESSION})[ \t,]*$")
_JOB_HELD = re.compile(
    rf"(?i)\b(?:(?:work(?:s|ed|ing)?|hired|employed|job|position|career) (?:as|is) (?:an?|the) |(?:i am|i'm|he is|she is|"
    rf"he's|she's|was|became|is) (?:an?|our|the) |"
    rf"profession(?: is|:) |occupation(?: is|:) |job title(?: is|:) )(?P<job>(?:[^\W\d_]+[ -]){{0,3}}{_PROFESSION})\b"
)


def find(text: str) -> Iterator[Entity]:
    """The people, titles, professions and companies of a text that can be told without a model."""
    for match in _HONORIFIC.finditer(text):
        yield Entity(PIIType.TITLE, *match.span("title"), 0.7)
        if match["name"]:
            yield Entity(PIIType.PERSON, match.start("name") + match["name"].startswith(" "), match.end("name"), 0.75)
    for match in _MISS.finditer(text):
        if match["title"] != "miss" and match["name"].lower() not in _NO_NAME:
            yield Entity(PIIType.TITLE, *match.span("title"), 0.6)
            yield Entity(PIIType.PERSON, *match.span("name"), 0.6)
    for pattern, score in ((_INTRODUCED, 0.6), (_INTRODUCED_ANYHOW, 0.6)):
        for match in pattern.finditer(text):
            if match["name"].split()[0].lower() not in _NO_NAME:
                yield Entity(PIIType.PERSON, *match.span("name"), score)
    for match in _COMPANY.finditer(text):
        yield Entity(PIIType.ORGANIZATION, *match.span("name"), 0.7)
    for pattern in (_JOB_LINE, _JOB_HELD):
        for match in pattern.finditer(text):
            yield Entity(PIIType.TITLE, *match.span("job"), 0.6)
