"""Times in a text, told by forms alone: clocks, dates, days, spans, durations."""

import re
from itertools import pairwise

from chains.vocabulary import NUMBERS, POINTING

MONTH = (
    r"jan(?:uary)?|feb(?:ruary)?|march|april|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|"
    r"dec(?:ember)?|januar|februar|märz|mai|juni|juli|oktober|dezember"
)
DAY = (
    r"(?:mon|tues|wednes|thurs|fri|satur|sun)days?|montags?|dienstags?|mittwochs?|donnerstags?|freitags?|samstags?|sonntags?|"
    r"weekdays?|weekends?|holidays?|christmas|easter"
)
_UNIT = (
    r"(?:second|minute|hour|day|night|week|month|quarter|year|decade|centur(?:y|ie)|season|sekunde|minute|stunde|tage?|woche|"
    r"monate?|jahre?)(?:s|n|en)?|min|h|hrs?|secs?|ms"
)
DAYTIME = r"noon|midday|midnight|dawn|dusk|sunrise|sunset|mornings?|afternoons?|evenings?|mittags?|mitternacht|morgens?|abends?"
NUMERAL = "|".join(word for word in NUMBERS if word not in POINTING) + "|one|half|quarter|ein"
CURRENCY = (
    r"euros?|eur|usd|gbp|chf|dollars?|pounds?|pence|penny|pennies|cents?|francs?|franken|kron[ae]r?|yen|rupees?|zloty|pesos?|"
    r"yuan|shillings?|crowns?|credits?|bucks"
)
#: Units without an `s`: a number of them is no time of day.
_MEASURED = (
    r"(?:milli)?bar|psi|k?pa|m?pa|hpa|[kmg]?hz|[kmµ][gavw]|[gvw]|[kmc]?m|km/h|mph|rpm|k?wh|kn|nm|ml|[cd]?l|lb|°|degrees?|grad|volt|watt|"
    r"ampere?|newton|joule|percent|per cent|prozent|litre|liter|met(?:er|re)|gram|ton|inch|foot|feet|fahrenheit|celsius|"
    r"million|thousand|hundred|"
    rf"{CURRENCY}"
)
#: A time of day that is one by its form, and one that is by the word in front alone.
CLOCK_ALONE = (
    rf"\b\d{{1,2}}[:.]\d\d\b|"
    rf"\b(?:\d{{1,2}}|{NUMERAL})(?:\s*[ap]\.?m\b|\s+o['’]clock|\s+uhr\b|\s+in the (?:morning|afternoon|evening|night)\b)|"
    rf"\b(?:{DAYTIME})\b|\b24 ?hours\b|\bround the clock\b|\bany ?time\b|\ball day\b|\bjederzeit\b"
)
CLOCK = re.compile(
    rf"{CLOCK_ALONE}|"
    rf"\b(?:at|from|by|until|till|to|before|after|around|between|um|ab|bis|von|vor|nach)\s+(?:\d{{1,2}}(?::\d\d)?|{NUMERAL})\b"
    rf"(?!\s*(?:[%€$£¥₹]|(?!onwards)[a-z]+s\b|(?:{_MEASURED})\b))",
    re.I,
)
CALENDAR = (
    rf"\b\d{{1,4}}(?:st|nd|rd|th|\.)?[ -](?:centur|jahrhundert|bce?\b|ad\b|ce\b|[vn]\. ?chr)|"
    rf"\b\d{{1,4}}[-./]\d{{1,2}}[-./]\d{{1,4}}\b|\b(?:{DAY})\b|"
    r"\b(?:\d+(?:st|nd|rd|th)?(?!\s+(?-i:may)\b)|the|in|of|since|until|by|every|each|for|from|till|before|after|during|between|and|"
    rf"next|last|im|bis|seit|ab|\d+\.)\s+(?:{MONTH})\b|\b(?:{MONTH})\s+\d|"
    r"\b(?:spring|summer|autumn|winter|frühling|sommer|herbst)s?\b|\b(?:today|tomorrow|yesterday|ago|heute|morgen|gestern)\b"
)
DATE = re.compile(rf"{CALENDAR}|\b\d{{3,4}}\b(?![.,]?\d|\s*[%€$£a-z])|\b(?:1\d|20)\d\d\b", re.I)
SPAN = re.compile(
    rf"(?:\d|\b(?:{NUMERAL}|an?|few|several|many|ein(?:e[nmr]?)?)\b)[\s-]*(?:(?:working|business|calendar|full|more)\s)?(?:{_UNIT})\b",
    re.I,
)
#: What tells a time by another event, or as a rule.
RELATIVE = re.compile(
    r"\b(?:after|before|until|till|when|whenever|while|during|as soon as|once|on request|immediately|at once|at any|"
    r"always|never|"
    r"daily|hourly|weekly|monthly|yearly|annually|(?:each|every)(?: other)? (?:time|hour|day|night|week|month|year)|"
    r"if|unless|in case|in the event|noon|past|mon|tues?|wed|thu(?:rs)?|fri|sat|sun|"
    r"nach|vor|bis|falls|"
    r"während|sobald|wenn|immer|nie|täglich|wöchentlich|jährlich|jahrhundert|start|startup|beginning|end)\b",
    re.I,
)
#: What makes a time of a span.
_AGO = re.compile(r"\b(?:ago|old|later|earlier|in|within|for|since|over|last|past|vor|seit|alt|später)\b", re.I)
_LASTING = re.compile(
    r"\b(?:until|till|as long as|forever|permanently|indefinitely|unlimited|no limit|never|always|lifetime|throughout|"
    r"bis(?! zu \d)|solange|immer|unbegrenzt)\b|"
    rf"\b(?:from|between|von|zwischen)\s+(?:\w+\s+){{0,2}}?(?:\d|(?:{NUMERAL}|{DAY}|{MONTH}|{DAYTIME}|spring|summer|autumn|winter|"
    r"frühling|sommer|herbst|birth|begin\w*|start)\b).*\b(?:to|and|bis|und)\b",
    re.I,
)
#: How often something is, what it is by a unit of time, or an age: `twice a week`, `32 euros a day`, `14 years old`.
_RATE = re.compile(
    rf"\b(?:once|twice|(?:\w+\s+)?times|einmal|zweimal|\w+mal)\s+(?:a|an|in|per|every|each|im|in der|am|pro|alle|je)\s+"
    rf"(?:(?:\d+|{NUMERAL}|other)\s+)?(?:{_UNIT})\b|"
    rf"\b(?:per|pro|every|each|jede[nrs]?|alle|je)\s+(?:(?:\d+|{NUMERAL}|other|second|third|zweite[nrs]?|dritte[nrs]?)\s+)?(?:{_UNIT})\b|"
    rf"(?:[€$£¥₹]\s?\d[\d.,]*|\d\s?[€$£¥₹%]|\b(?:{CURRENCY}))\s+(?:an?|the|die|am|im)\s+(?:{_UNIT})\b|"
    rf"(?:\d|\b(?:{NUMERAL}))[\s-]*(?:{_UNIT})[\s-]+(?:old|of age|alt)\b|"
    rf"\b(?:{NUMERAL})?\s*(?:{_UNIT})\s*\((?:[€$£¥₹]|(?:{CURRENCY})\b)",
    re.I,
)
_MOMENT = rf"(?:{CALENDAR}|{CLOCK_ALONE}|\b(?:1\d|20)\d\d\b)"
#: A date with its weekday, year and time of day: one moment, whatever it is told by.
_MOMENTS = re.compile(rf"{_MOMENT}(?:(?:[\s,./]|\b(?:at|on|um|am|der|the|of|\d{{1,4}}(?:st|nd|rd|th)?)\b)*{_MOMENT})*", re.I)
_UP_TO = re.compile(r"\s*(?:,\s*)?(?:\b(?:up )?(?:to|until|till|through|bis)\b|[–—-])(?:\s+\w+){0,2}\s*", re.I)
_DAYS_UP_TO = re.compile(
    rf"\b\d{{1,2}}(?:st|nd|rd|th|\.)?\s*(?:to|until|till|bis|[–—-])\s*\d{{1,2}}(?:st|nd|rd|th|\.)?\s+(?:{MONTH})\b|"
    rf"\b(?:{MONTH})\s+\d{{1,2}}\s*(?:to|until|till|[–—-])\s*\d{{1,2}}\b",
    re.I,
)
_BEGINS = re.compile(
    r"\b(?:open(?:s|ed|ing)?|start\w*|beg[aiu]n\w*|commenc\w+|arriv\w+|from|since|between|beginn\w*|begann|eröffnet|öffnet|ab)\b",
    re.I,
)
_ENDS = re.compile(
    r"\b(?:clos(?:es?|ed|ing)|end(?:s|ed|ing)?|finish\w*|expir\w+|le(?:aves?|ft)|and|ende(?:t|te|n)?|schlie(?:ß|ss)t|schloss|"
    r"geschlossen|und)\b",
    re.I,
)
#: What a column is called that has a duration, an extent or a time.
_LASTING_COLUMN = re.compile(
    r"\b(?:duration|length|period|term|time|times|hours?|minutes?|valid\w*|warranty|guarantee|notice|min|h|"
    r"dauer|länge|laufzeit|frist|zeit\w*|stunden|minuten|gültig\w*|garantie)\b|dauer|frist|zeit\b",
    re.I,
)
#: Weekdays as timetables write them: in another case they are words.
_SHORT_DAY = re.compile(
    r"\b(?:Mon|Tues?|Wed|Thur?s?|Fri|Sat|Sun|Mo|Di|Mi|Do|Fr|Sa|So)\b(?=[.:]|\s*(?:[-–—/,&|]|\d|and\b|und\b|$))"
)
_ON_A_DAY = re.compile(
    rf"\b(?:{DAY})\b|\b\d{{1,2}}(?:st|nd|rd|th|\.)?\s+(?:of\s+)?(?:{MONTH})\b|\b(?:{MONTH})\s+\d{{1,2}}\b|"
    r"\b\d{1,4}[-./]\d{1,2}[-./]\d{1,4}\b|\b\d{1,2}(?:st|nd|rd|th)\b",
    re.I,
)
_ANY_DAY = re.compile(
    r"\b(?:daily|every ?day|each day|(?:all|any|no|most|other|working|business|public|first|last|same|next) days?|all week|"
    r"days? of|today|tomorrow|täglich|jede[nr]? tag|alle tage|werktags?|werktagen?|feiertag\w*|ersten? tag\w*|"
    r"letzten? tag\w*)\b",
    re.I,
)
#: By when something is due, or since when it holds: that is no day on which it is done.
_DUE = re.compile(r"\b(?:by|until|till|before|since|from|bis|vor|seit|ab)\s+(?:(?:the|zum|dem|den)\s+)?(?:\w+day,?\s+)?$", re.I)


def tells_time(text: str) -> bool:
    """Whether a text tells when something is, by the clock, a date, a span or another event."""
    return any(form.search(text) for form in (CLOCK, DATE, SPAN, RELATIVE))


def tells_past(text: str) -> bool:
    """Whether it tells when something was: `five years` alone does not."""
    return any(form.search(text) for form in (CLOCK, DATE, RELATIVE)) or bool(SPAN.search(text) and _AGO.search(text))


def tells_hour(text: str) -> bool:
    """Whether it tells a time of day, or another event as one."""
    return bool(CLOCK.search(text) or RELATIVE.search(text))


def tells_duration(text: str) -> bool:
    """Whether it tells how long something lasts: by a span that is no rate (`twice a week`), or by both of its ends. One date,
    whatever it is made of, is none, and neither are several."""
    text = _RATE.sub(" ", text)
    return bool(SPAN.search(text) or _LASTING.search(text)) or _both_ends(text)


def may_hold_duration(row: str) -> bool:
    """The same of a row with the names of its columns, one of which may stand for it."""
    return tells_duration(row) or bool(_LASTING_COLUMN.search(row))


def _both_ends(text: str) -> bool:
    if _DAYS_UP_TO.search(text):
        return True
    found = list(_MOMENTS.finditer(text))
    for one, other in pairwise(found):
        between = text[one.end() : other.start()]
        if _UP_TO.fullmatch(between) or (_BEGINS.search(text[: one.start()]) and _ENDS.search(between)):
            return True
    return False


def tells_days(text: str) -> bool:
    """Whether it tells on which days something is: a deadline tells none."""
    if _ANY_DAY.search(text) or _SHORT_DAY.search(text):
        return True
    return any(not _DUE.search(text[: day.start()]) for day in _ON_A_DAY.finditer(text))
