"""The kind of thing that a question asks for (a price, a count, a time, a person, a place, a permission), and whether a text
holds one of that kind.

A sentence that only names what is asked about answers nothing: `Breakfast is served in the garden` does not say how much it is.
The kinds are told by forms alone, and widely: a text lacks one only where nothing in it could be one.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from chains.addresses import without_addresses
from chains.causes import ASKS, tells_cause
from chains.languages import Language, language_of
from chains.languages.holding import holds_count, holds_time, is_free
from chains.persons import names_somebody, names_somebody_in_german
from chains.specifics import number_of, tokens
from chains.times import (
    CALENDAR,
    CLOCK,
    CLOCK_ALONE,
    CURRENCY,
    DAY,
    DAYTIME,
    MONTH,
    NUMERAL,
    SPAN,
    may_hold_duration,
    tells_days,
    tells_duration,
    tells_hour,
    tells_past,
    tells_time,
)
from chains.vocabulary import ENGLISH, GERMAN, listed

_LENGTH = re.compile(
    rf"(?:\d[\d.,]*|\b(?:{NUMERAL}))\s*(?:[mck]?m|(?:kilo|centi|milli)?met(?:er|re)s?|meilen?|miles?|feet|foot|ft|inch(?:es)?|yards?|"
    r"pages?|seiten?|words|wörter|letters|lines|characters?|zeichen)\b",
    re.I,
)
#: What a column is called that has an extent.
_EXTENDED = re.compile(r"\b(?:length|distance|size|km|miles?|c?m|mm|inch|länge|strecke|entfernung)\b", re.I)
_WEIGHT = re.compile(
    rf"(?:\d[\d.,]*|\b(?:{NUMERAL}))\s*(?:kilo\w*|kg|m?g|gram(?:me?)?s?|t|ton(?:ne)?s?|tonnen?|lbs?|pounds?|ounces?|oz|stones?|"
    r"pfund|zentner)\b|\b(?:weigh\w*|gewicht|wiegt|wiegen)\b\D{0,40}\d|\w+gewicht\b\D{0,40}\d",
    re.I,
)
#: A number that is told to be an extent without a unit behind it.
_SIZED = re.compile(
    r"\b(?:depth|height|width|breadth|distance|size|tiefe|höhe|breite|entfernung|größe)\W{1,3}(?:(?:is|of|ist|von)\s)?\d|\d\W{0,3}(?:deep|tall|wide|"
    r"high|away|off)\b|\b(?:blocks?|stops?|stations?|steps|storeys|floors|minutes?|hours?)\b",
    re.I,
)
_AGE = re.compile(
    r"\b(?:aged?|born|old|birthday|birth|built|founded|established|erected|made|dates?|alt|geboren|gebaut)\b", re.I
)
_AGED = re.compile(
    r"\b(?:is|was|are|ist|war)\s+\d{1,3}\b|"
    r"\b(?:under|over|from|above|below|(?:up|down) to|at least|ab|unter|über|bis)\s+\d{1,3}"
    r"(?=\s*(?:[,.;:)]|$|(?:are|is|may|must|can|need|only|and|or|dürfen|müssen|sind|können|und|oder)\b))",
    re.I,
)
_REGULAR = re.compile(
    r"\b(?:once|twice|daily|hourly|weekly|monthly|yearly|annually|every|each|per|a (?:day|week|month|year)|times?|always|never|"
    r"einmal|zweimal|(?:stünd|täg|wöchent|monat|jähr)lich|jede[nrs]?|pro|mal|nie|immer|regularly|whenever|as often|"
    r"quarterly|fortnightly|nightly|constantly|continuously|seldom|rarely|"
    rf"{DAY})\b",
    re.I,
)
_SUM = re.compile(
    rf"[€$£¥₹]\s?\d|\d\s?[€$£¥₹%]|\b(?:{CURRENCY})\s?\d|(?:\d|\b[a-z]+)[\s-]*(?:{CURRENCY})\b|\d[.,]\d\d(?!\d)|"
    r"\b(?:free|gratis|complimentary|included|nothing|no (?:charge|fee|cost)|charge|half|double|percent|kostenlos|frei|nichts|"
    r"umsonst|inbegriffen)\b",
    re.I,
)
#: What makes a price of a number in a row, in the row itself or as the name of its column.
_PRICED = re.compile(
    rf"[€$£¥₹]|\b(?:{CURRENCY}|free|gratis|included|kostenlos|frei|inbegriffen)\b|\d[.,]\d\d(?!\d)|"
    r"\b(?:(?:list|unit|sales|retail)?pric\w+|costs?|fees?|fares?|rates?|rents?|charges?|amount|totals?|salar\w+|wages?|budgets?|tariffs?|"
    r"pa(?:id|ys?|yments?)|deposits?|premiums?)\b|preis|kosten|gebühr|betrag|miete|lohn|gehalt|summe|tarif|beitrag|entgelt",
    re.I,
)
#: A bare number that may be a price: nothing that is counted stands behind it.
_BARE = re.compile(r"(?<![\w.:/-])\d[\d.,]*(?=\s*(?:$|[,;.)|](?!\d)|\b(?:per|a|an|each|for|and|or|pro)\b))", re.I)
_FEW = re.compile(
    r"\b(?:none|no|single|only|both|pair|dozens?|several|unlimited|any number|as many|many|few|hundreds?|thousands?|million|"
    r"keine?|mehrere|beliebig)\b",
    re.I,
)
_DETERMINER = r"(?:the|an?|our|your|its|their|this|each|every|der|die|das|dem|den|einem|einer)"
_PLACE = re.compile(
    r"\b(?:in|at|on|behind|under|underneath|below|above|over|near|by(?= the| an?)|beside|opposite|between|inside|"
    r"outside|within|next to|"
    r"in front|against|along|around|across|through|via|into|onto|from|im|am|an|"
    r"with(?= (?:the|our|your))|rechts|links|(?:top|bottom) (?:right|left|of)|"
    r"auf|hinter|neben|unter|über|bei|zwischen|vor|aus|ins|beim|vom)\b(?!\s+(?:least|most|once|order|case|time|request|demand|"
    rf"average|addition|advance|{DAY}|{MONTH}|{DAYTIME}|{NUMERAL}|\d+)\b)(?=\s+(?:{_DETERMINER}\s+)?+[\w`])|"
    r"\b(?:outside|inside|indoors|outdoors|upstairs|downstairs|abroad|everywhere|nowhere|home|here|there|ground floor|draußen|"
    r"drinnen|oben|unten)\b|\b(?:city|place|location|address|room|floor|shelf|site|town|country|region|ort|stadt)\b\W{0,3}:|"
    r"\b(?:place|seat|venue|location|address|site|ort|sitz)\b(?: (?:of|der|des) [\w ,-]{1,40}?)? "
    r"(?:is|are|was|ist|war|liegt)\b|"
    r"https?://|\w/\w|@\w",
    re.I,
)
#: Words of a question that also tell in an answer that a place follows.
_PLACES = listed("place seat venue location address site ort sitz")
_GOAL = re.compile(r"\bto\b|\bzu[mr]?\b|\bnach\b", re.I)
_FLOOR = re.compile(
    r"\b(?:floor|storey|basement|cellar|attic|level|upstairs|downstairs|roof|stock|etage|erdgeschoss|keller)\b", re.I
)
_MAY = re.compile(
    r"\b(?:yes|only|no(?! event)|not|never|kein\w*|nicht|"
    r"allow\w*|permi\w+|grant\w*|may|can|forbid\w*|forbidden|prohibit\w*|rights?|free|freely|must|banned|welcome|accepted|"
    r"restrict\w*|licensed?|erlaubt|darf|dürfen|verboten|gestattet|supports?|possible|impossible)\b",
    re.I,
)
#: What is numbered, and not counted: `number_of` reads `second` as a number, too.
_ORDINAL = re.compile(
    r"\b\w+ (?:floor|storey)\b|"
    r"\b(?:first|second(?!s)|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|\d+(?:st|nd|rd|th))\b|\b(?:room|page|step|no\.|nr\.|number|zimmer|seite|nummer|§)\s\d+|"
    r"\b(?:extension|tel\.?|phone|telefon):?\s\d[\d /-]*|(?<![\d.,:/-])[+0]\d[\d /-]*",
    re.I,
)
#: What is counted.
_COUNTED = re.compile(r"\bhow many (?:of the |of our |more |other )?([^\W\d_]{3,})", re.I)
#: A span, a price, a measure: a number of nothing that is counted. And that there is none of a thing.
_MEASURED = re.compile(
    rf"(?<![\w.,])(?:\d[\d.,]*|{NUMERAL})[\s-]*(?P<unit>{CURRENCY}|times?|mal|percent|prozent|[ck]?m|km|kg|miles?|lit(?:er|re)s?|"
    r"(?:second|minute|hour|day|night|week|month|year)s?|sekunden?|minuten?|stunden?|tage?n?|wochen?|monaten?|jahren?)\b",
    re.I,
)
_NO = re.compile(r"\b(?:no|keine?[nmrs]?)\s+(?P<unit>[^\W\d_]+)", re.I)
#: What may be a year, or a time of day, as well as a count.
_YEAR = re.compile(r"(?<![\d.,])\d{3,4}\b(?![.,]?\d)")
_HOUR = re.compile(rf"\b(?:\d{{1,2}}|{NUMERAL})\b(?![.:,]\d)", re.I)
#: What stands in front of a year alone, of a year more than of a count, and of a time of day.
_SINCE = re.compile(
    rf"\b(?:in|since|anno|im|seit|jahre?|years?|{MONTH}|(?:spring|summer|autumn|winter|year) of)\W{{1,2}}$", re.I
)
_DATED = re.compile(
    r"(?:[(©]|\b(?:an?|the|by|from|until|till|before|after|between|bis|ab|von|vor|nach)|"
    r"\b(?:1\d|20)\d\d (?:and|or|to|und|oder)|"
    r"\b(?:built|founded|established|opened|erected|born|written|renovated|dat(?:es|ed)|gebaut|gegründet|eröffnet)\b.{0,16})\s*$",
    re.I,
)
_ALONE = re.compile(r"(?:^|[.!?,–/-])\s*$")
_AT = re.compile(
    r"(?:\b(?:at|from|by|until|till|before|after|around|between|um|ab|von|vor|nach|bis)|"
    rf"(?:\d|\b(?:[ap]\.?m\.?|{NUMERAL}|{DAY}|{DAYTIME}))\s+to)\s+$",
    re.I,
)
_CALENDARS, _CLOCKS = re.compile(CALENDAR, re.I), re.compile(CLOCK_ALONE, re.I)
_BEHIND = re.compile(r"\s*([%€$£¥₹])|[\s-]([^\W\d]+)(?:[ -]([^\W\d]+))?")
_PEOPLE = listed("people children men women persons staff personen leute kinder")


@dataclass(frozen=True, slots=True)
class Kind:
    """What is asked for. `holds` says whether a text has one; a row, whose fields stand for themselves, has every kind. What
    the question says itself is none where `beside`; a count is told by it before it goes (`counted`)."""

    holds: Callable[[str], bool]
    beside: bool = False
    counted: bool = False
    said: frozenset[str] = frozenset()
    #: What is counted, as the question calls it.
    noun: str = ""
    #: A row has to hold one as well: of other kinds it may by the name of a column.
    in_rows: bool = False
    #: Whether a row, with the names of its columns, speaks of such a thing at all.
    in_row: Callable[[str], bool] | None = None

    def held(self, text: str, *, row: bool) -> bool:
        """Whether a quoted text, or row, has one."""
        if self.counted:
            text = _dateless(text, self.said)
            if self.noun and not row:
                text = _unmeasured(text, self.noun)
                if not _FEW.search(text) and _counts_another(text, self.noun):
                    return False
        if self.beside:
            text = re.sub(r"[^\W\d]+", lambda word: "," if word[0].lower() in self.said else word[0], text)
        return (row and not self.in_rows) or self.holds(text)


def _dateless(text: str, said: frozenset[str] = frozenset()) -> str:
    """The text without the numbers in it that are a year, a date, a time of day or a name. `said` are words of what is
    counted."""

    def is_year(number: re.Match[str]) -> bool:
        before, behind = number.string[: number.start()][-40:], _behind(number, said)
        if _SINCE.search(before):
            return not behind if len(number[0]) == 3 else behind != "said"
        if not 1000 <= int(number[0]) < 2100 or behind not in ("", "word"):
            return False
        return bool(_DATED.search(before) or (not behind and _ALONE.search(before)))

    def is_hour(number: re.Match[str]) -> bool:
        return _behind(number, said) in ("", "word") and bool(_AT.search(number.string[: number.start()][-40:]))

    def is_time(clock: re.Match[str]) -> bool:
        return "." not in clock[0] or _behind(clock, said) in ("", "word")

    text = _YEAR.sub(lambda found: " " if is_year(found) else found[0], _ORDINAL.sub(" ", text))
    text = _HOUR.sub(lambda found: " " if is_hour(found) else found[0], text)
    return _CLOCKS.sub(lambda found: " " if is_time(found) else found[0], _CALENDARS.sub(" ", text))


def _unmeasured(text: str, noun: str) -> str:
    """The text without its spans, prices and measures, and without what it says that there is none of, where that is not the
    noun."""
    for form in (_MEASURED, _NO):
        text = form.sub(lambda found: found[0] if found["unit"].lower()[:4] == noun[:4] else " ", text)
    return text


def _counts_another(text: str, noun: str) -> bool:
    """Whether a text knows what is counted, and all of its numbers are of other things: `Members who miss four rehearsals`."""
    if not re.search(rf"\b{re.escape(noun)}", text, re.I):
        return False
    found = list(re.finditer(rf"(?<![\w.,])(?:\d[\d.,]*\d|\d|{NUMERAL})\b", text, re.I))
    return bool(found) and all(
        _behind(number, frozenset((noun,))) == "things" and not text[number.end() :].lstrip().startswith("%")
        for number in found
    )


def _behind(number: re.Match[str], said: frozenset[str]) -> str:
    """What stands behind a number: `said`, one of those words; `things`, several of something; `word`, another word that tells;
    else empty."""
    found = _BEHIND.match(number.string, number.end())
    if found is None or (found[2] or "").lower() in ENGLISH | GERMAN:
        return ""
    if found[1]:
        return "things"
    words = [word for word in found.groups()[1:] if word and word.lower() not in ENGLISH | GERMAN]
    if said.intersection(word.lower() for word in words):
        return "said"
    several = any(word.lower() in _PEOPLE or re.search(r"(?<![su])s$(?<!onwards)", word) for word in words)
    return "things" if several else "word"


def _count(text: str) -> bool:
    return bool(_FEW.search(text)) or _numeral(text)


def _numeral(text: str) -> bool:
    return bool(re.search(r"\d", text)) or any(number_of(token) is not None for token in tokens(text))


def _sum(text: str) -> bool:
    bare = CLOCK.sub(" ", text) if not re.search(r"\d[.,]\d\d", text) else text
    bare = re.sub(rf"\b(?:{MONTH})\b\.?\s*\d*|\b(?:in|since|until|by|§|version|section)\s+\d[\d.]*", " ", bare, flags=re.I)
    return bool(_SUM.search(bare) or _BARE.search(bare))


def _priced(text: str) -> bool:
    return bool(_PRICED.search(text))


def _amount(text: str) -> bool:
    """Money, or how much of anything: `how much is` asks for both."""
    return _sum(text) or _numeral(_dateless(without_addresses(text)))


def _change(text: str) -> bool:
    """By how much something becomes more or less."""
    return bool(
        re.search(
            r"\d\s?%|\b(?:half|double|hälfte|doppelt)|\b(?:from|von)\b[^.;]*?\d[^;]*?\b(?:to|auf)\s[^.;]{0,8}?\d", text, re.I
        )
        or re.search(r"\b(?:by|than|um|als)\b[^.;]{0,24}?\d|\d\s*(?:percent|per cent|prozent)", text, re.I)
    )


def _measure(text: str) -> bool:
    return _numeral(text) or bool(_FEW.search(text))


def _extent(text: str) -> bool:
    return bool(_LENGTH.search(text) or _SIZED.search(text) or _FEW.search(text))


def _long(text: str) -> bool:
    return bool(_LENGTH.search(text)) or tells_duration(text)


def _long_in_row(row: str) -> bool:
    return bool(_LENGTH.search(row) or _EXTENDED.search(row)) or may_hold_duration(row)


def _weighs(text: str) -> bool:
    return bool(_WEIGHT.search(text))


def _where(text: str) -> bool:
    return bool(_PLACE.search(text))


def _goal(text: str) -> bool:
    return _where(text) or bool(_GOAL.search(text))


def _old(text: str) -> bool:
    return any(form.search(text) for form in (_AGE, SPAN, _AGED))


#: The form of a question, and what it asks for. The first that fits counts.
_KINDS: tuple[tuple[re.Pattern[str], Kind], ...] = tuple(
    (re.compile(form, re.I), kind)
    for form, kind in (
        (
            r"\bhow much\b.*\b(?:costs?|pay|pays|paid|charge|charged|earns?|earned|owe|spend|salary|price)\b|"
            r"\bhow (?:expensive|cheap)\b|\bwhat (?:do|does|did|would|will)\b.*\bcosts?\b|"
            r"\bwhat (?:is|are|was|were) the (?:price|fee|fare|rent)\b|\bwas koste(?:t|n)\b|\bwie teuer\b|\bwie ?viel kostet\b",
            Kind(_sum, beside=True, in_rows=True, in_row=_priced),
        ),
        (r"\bby how much\b|\bum wie ?viel\b(?! uhr)", Kind(_change)),
        (r"\bhow much (?:is|are|was|were)\b", Kind(_amount, beside=True)),
        (ASKS, Kind(tells_cause)),
        (r"\bhow old\b|\bwie alt\b", Kind(_old)),
        (r"\bhow many (?:seconds|minutes|hours|days|nights|weeks|months|years)\b", Kind(_measure)),
        (r"\bhow many\b|\bwie ?viele\b", Kind(_count, beside=True, counted=True)),
        (
            r"\bhow (?:deep|tall|wide|far)\b|"
            r"\bhow (?:high|large|big) (?:does|do|did|can|will)\b.*\b(?:grow|stand|reach|jump|climb)\b|"
            r"\bwhat (?:is|are|was|were) the (?:depth|height|width|breadth)s? of\b",
            Kind(_extent),
        ),
        (
            r"\bhow heavy\b|\bhow much\b.*\bweighs?\b|\bwhat (?:is|are|was|were) the weights? of\b|"
            r"\bwhat do(?:es)?\b.*\bweigh\b|"
            r"\bwie schwer\b|\bwie ?viel wieg(?:t|en)\b",
            Kind(_weighs, in_row=_weighs),
        ),
        (r"\bhow (?:high|large|big|fast|hot|loud)\b", Kind(_measure)),
        (r"\bhow long\b|\bwhat (?:is|are|was|were) the lengths? of\b|\bwie lange?\b", Kind(_long, in_row=_long_in_row)),
        (r"\b(?:what|which) (?:week)?days\b|\b(?:an welchen|welche) (?:wochen)?tagen?\b", Kind(tells_days, in_row=tells_days)),
        (r"\bhow often\b|\bwie oft\b", Kind(lambda text: bool(_REGULAR.search(text) or SPAN.search(text)))),
        (r"\bwhat time\b(?! zone)|\bum wie ?viel uhr\b", Kind(tells_hour)),
        (r"^\W*when (?:was|were|did)\b|^\W*wann (?:wurden?|war(?:en)?)\b", Kind(tells_past)),
        (
            r"(?:^|[,;]\s*|\b(?:since|from|until|by|and) )when\b(?! (?:must|should|shall))|"
            r"\b(?:what|which) (?:year|date|day|month)\b|\ban welchem tag\b|"
            r"^\W*(?:seit |ab |bis )?wann\b",
            Kind(tells_time),
        ),
        (r"\b(?:which|what) (?:floor|storey|level)\b", Kind(lambda text: bool(_FLOOR.search(text)))),
        (r"(?:^|[,;]\s*)where\b.*\b(?:go|goes|to|send|sent|leads?|deliver|delivered)\b", Kind(_goal, beside=True)),
        (r"(?:^|[,;]\s*)(?:from )?where\b|^\W*(?:wo|woher)\b", Kind(_where, beside=True)),
        (r"^\W*who\b(?! (?:is|was|are|were) (?-i:[A-Z]))", Kind(names_somebody, beside=True, in_rows=True)),
        (r"^\W*wer\b(?! (?:ist|war) (?-i:[A-Z]))", Kind(names_somebody_in_german, in_rows=True)),
        (
            r"^\W*(?:does|do|is|are)\b.*\b(?:allow|permit|forbid|prohibit|allowed|permitted|forbidden|prohibited)\b",
            Kind(lambda text: bool(_MAY.search(text))),
        ),
    )
)


def kind_of(question: str, whole: str = "") -> Kind | None:
    """The kind of thing that a question asks for; None where that is not told. `whole` has what it is about as well, where it
    does not say that itself."""
    language = language_of(question)
    if language is not None and language.judged_apart:
        return _told_apart(language, question)
    kind = next((kind for form, kind in _KINDS if form.search(question)), None)
    said = frozenset(token.lower() for token in re.findall(r"[^\W\d]+", f"{question} {whole}")) - ENGLISH - GERMAN - _PLACES
    counted = _COUNTED.search(question)
    return None if kind is None else replace(kind, said=said, noun=counted[1].lower() if counted else "")


def _told_apart(language: Language, question: str) -> Kind | None:
    """The same in a language whose words stand in a file of its own."""
    kinds = {"costs": lambda text: _sum(text) or is_free(text), "counts": holds_count, "times": holds_time}
    return next((Kind(kinds[name]) for name, form in language.kinds.items() if form.search(question)), None)
