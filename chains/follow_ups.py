"""What a question stands for that follows others: what it is about is carried on from them, in the words that they had.

A small model rewrites badly, so this is done by forms: words that point (`its`), that go on (`and in winter?`), and a part of a
sentence that takes the place of a part of the question before. Where a question may be read in several ways, the judging of
what is found tells which holds.
"""

import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from chains.continuations import Onward, onward
from chains.languages import Language, is_refusal, language_of, languages, words_of
from chains.specifics import Words, number_of, specifics, tokens
from chains.vocabulary import EXCLUSIVE, LIGHT, MEASURES, listed
from retrievers.base import Passage
from retrievers.sentences import units

_TOKEN = re.compile(r"\w+(?:[-_./@+]\w+)*")
#: `the desk that stands there`, `is it allowed to smoke`: these point at nothing that was named before.
_RELATIVE = re.compile(
    r"(?<=\w)\s+that\b(?!\s*[?.!,]|\s+of\b)|\b(?:is|are|was|were|will|be)\s+there\b|\bthere\s+(?:is|are|was|were|be)\b", re.I
)
_EXPLETIVE = re.compile(
    r"\bit\b(?=(?:\s+\w+){1,2}\s+to\s+\w)|\bes\b(?=\s+(?:ein|eine|einen|keine?|möglich|erlaubt)\b)|\bil y a\b|\bgibt es\b", re.I
)
_MOST_OF_A_PART = 6
#: A question of fewer words needs the turns before it; one of fewer than the other may, if it names nothing.
_FEWEST_ALONE, _MOST_IN_DOUBT = 4, 8
#: A sentence of fewer words may stand in any document; of one that is said again, so many of its words are there.
_FEWEST_WORDS = 3
_SAID_AGAIN = 0.85
#: What a question may be about at once: what the ones before it were, and what it names itself.
_MOST_TOPICS = 2
#: An answer with more names than so many speaks of several things.
_MOST_NAMES = 2
#: `How much of it?` asks for what was asked for before, and not for what has it.
_OF_IT = re.compile(r"\W*(?:how (?:much|many) (?:of (?:it|them|this|that|these|those))\b|wie ?viele? davon\b)", re.I)
#: Somebody has done something, where `does` and `has` tell what a thing has.
_ACTS = re.compile(
    r"\bdid\b|\b(?:has|have|had|hat|haben|hatten?)\b.*\b(?:\w{3,}ed|bought|sold|chosen|made|built|taken|given|ge\w+(?:t|en)|\w+iert|"
    r"(?:be|ver|er|ent)\w+(?:t|en))\W*$",
    re.I,
)
_PERSON = re.compile(r"\b(?:he|him|his|she|her|hers)\b", re.I)
#: What is asked of a thing more than it is one.
_SIDES = listed("price cost fee warranty guarantee delivery colour color preis kosten garantie lieferung farbe")


@dataclass(frozen=True, slots=True)
class Reading:
    """A question as it may be meant. `text` can be searched for, `about` is what of it must be answered, and one of the words
    `topic` has to be where the answer is; none where the question stands by itself. What `new` asks for, which is the part that
    no question before had, has to be right by the answer, or in it where `inside`; empty where nothing was carried on. `onward`
    is what it asks of the answer before it, where that is all that it does."""

    text: str
    about: str
    topic: tuple[str, ...] = ()
    new: str = ""
    inside: bool = False
    onward: Onward | None = None
    #: Names of the topic that an answer gave to it.
    named: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Standing:
    """What a question came to stand for: how it asks, and what it is about, as a phrase and in its telling words; and what of
    that it was that asked for something new, and has to be in the answer itself (`inside`)."""

    own: str
    phrase: str
    topic: tuple[str, ...]
    new: str = ""
    inside: bool = False
    #: Which one it asked for, or a question before (`Which fuel does it take?`), and is not about.
    thing: str = ""
    named: tuple[str, ...] = ()

    def reading(self) -> Reading:
        inside = self.phrase.lower() in self.own.lower()
        text = self.own if inside or not self.phrase else f"{self.phrase}: {self.own}"
        return Reading(text, self.own, self.topic, self.new, self.inside, named=self.named)


def follows(question: str) -> bool:
    """Whether a question may need the turns before it: it goes on, or points, or is short and names nothing."""
    language = language_of(question)
    said = question.split()
    if language is None or len(said) < _FEWEST_ALONE or language.opens.match(question) or _pointing(question, language):
        return True
    names = r"\d" if language.code == "de" else r"\d|[^\W\d_]*[A-ZÀ-Þ]"  # whose nouns have capitals all
    return len(said) < _MOST_IN_DOUBT and not any(re.match(names, word) for word in said[1:])


def points(text: str) -> bool:
    """Whether a text points at what was named before it."""
    return bool(_pointing(text, _language(text)))


def readings(asked: Sequence[str], answers: Sequence[str] = (), *, words: Words) -> list[Reading]:
    """What the last of the questions may mean after those before it, the likeliest first; never empty. `answers` are what those
    before it got, empty where they got none."""
    standing, found = _standings(asked[0], words), [Reading(asked[0], asked[0])]
    for number, question in enumerate(asked[1:]):
        if number < len(answers):
            standing = [_named(each, asked[number], answers[number], words) for each in standing]
        if which := onward(question):
            found = [Reading(question, question, onward=which)]
            continue
        meant = _after(standing, question, words)
        carried = list(dict.fromkeys(each for each in meant if each is not None))
        found = [each.reading() for each in carried]
        if None in meant:
            found.append(Reading(question, question))
            alone = [each for each in _standings(question, words) if each.phrase]
            carried = [*carried[:1], *alone[:1]] if carried else alone
        standing = carried[:_MOST_TOPICS] or _standings(question, words)
    return found


def of_answers(answers: Sequence[str], passages: Sequence[Passage]) -> list[Passage]:
    """Those of the passages that are of the documents which the first of the answers says again that says any; else empty."""
    known = [(one, frozenset(_spelt(f"{one.chunk.context}\n{one.chunk.text}"))) for one in passages]
    for answer in answers:
        said = [_spelt(answer[unit.start : unit.end]) for unit in units(answer)]
        said = [each for each in said if len(each) >= _FEWEST_WORDS]
        ids = {one.chunk.document_id for one, spelt in known if any(_share(each, spelt) >= _SAID_AGAIN for each in said)}
        if ids:
            return [one for one in passages if one.chunk.document_id in ids]
    return []


def _spelt(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.lower())


def _share(said: Sequence[str], spelt: AbstractSet[str]) -> float:
    return sum(word in spelt for word in said) / len(said)


def _after(before: Sequence[_Standing], question: str, words: Words) -> list[_Standing | None]:
    """The readings of a question after what the one before it may stand for; None is the one that stands by itself."""
    language = _language(question)
    opened = language.opens.match(question)
    rest = question[opened.end() :] if opened else question
    own = rest[:1].upper() + rest[1:] if rest.strip(" ?!.") else question
    kept: list[_Standing | None] = [replace(each, own=own, new=own, inside=False) for each in before if each.topic]
    if _PERSON.search(rest):  # whoever did something, and not what it was done with
        kept.sort(key=lambda each: each is not None and bool(each.thing) and each.phrase.startswith(each.thing))
    strong = _pointing(rest, language) - language.weak_points
    if _OF_IT.match(rest) and (part := next((each.thing for each in before if each.thing), "")):
        return [_Standing(own, part, _telling(part, language, words), own, thing=part)]
    if of := language.of.match(rest):
        return [_replaced(before[0], rest[of.end() :].strip(" ?!."), language, words)]
    if not strong and _is_part(rest, language, opened=bool(opened)):
        return [each for one in before for each in _of_part(one, own, rest.strip(" ?!."), language, words)]
    if strong:
        return kept or [None]
    return [None] if _names(question, language, words) else [*kept[:1], None]


def _of_part(before: _Standing, own: str, part: str, language: Language, words: Words) -> list[_Standing | None]:
    """The readings of a question that is a part of a sentence: another thing, another time or place, or another side of it."""
    first = words_of(part)[:1]
    names = _names(part, language, words)
    if first and first[0] in language.determiners and (names or _telling(part, language, words)):
        found = [_other_asked(before, own, language, words)]
        if before.topic and not names:
            found.append(replace(before, own=own, new=own, inside=True))
        return [*(each for each in found if each is not None), None]
    prepositional = bool(first) and language.says_nothing(first[0]) and first[0] not in language.articles
    if names:
        return [_replaced(before, re.sub(r"^\W*\w+\s+", "", part) if prepositional else part, language, words)]
    kept = replace(before, own=own, new=own, inside=True)
    if prepositional:
        return [replace(before, own=_turned(before.own, part), new=part, inside=True), kept]
    side = {token.lower() for token in tokens(part)} & (MEASURES | LIGHT | language.light | _SIDES)
    other = _replaced(before, part, language, words)
    return [kept, other] if side else [other, kept]


def _replaced(before: _Standing, phrase: str, language: Language, words: Words) -> _Standing:
    """The question before, of something else."""
    own = before.own
    bare = re.sub(rf"^(?:{'|'.join(sorted(language.articles))})(?:\s+|['’])", "", phrase, flags=re.I)
    for part in (before.phrase, *before.topic, _phrase(own, language, words)):
        if part and part in own:
            own = own.replace(part, bare, 1)
            break
    return _Standing(own, bare, _telling(bare, language, words), bare, inside=True)


def _other_asked(before: _Standing, part: str, language: Language, words: Words) -> _Standing | None:
    """The question before with another thing that it asks for (`Which rooms …?` for `Which days …?`); None where it asks for no
    such thing. What it is about stays, unless it was that."""
    if (span := _asked_for(before.own, language)) is None:
        return None
    other, rest = part.rstrip(" ?!."), before.own[span[1] :]
    own = f"{before.own[: span[0]]}{other}{rest}"
    if before.phrase and before.phrase in rest:
        return _Standing(own, before.phrase, before.topic, part)
    thing = re.sub(r"^\W*\w+\s+", "", other)
    return _Standing(own, thing, _telling(thing, language, words), part)


def _asked_for(question: str, language: Language) -> tuple[int, int] | None:
    """Where a question has what it asks for, as `Which days` and `In which year`, before its verb or what that is said of."""
    found = list(_TOKEN.finditer(question))
    first = next((place for place, one in enumerate(found[:2]) if one[0].lower() in language.determiners), None)
    if first is None:
        return None
    ends = language.verbs | language.articles
    last = next((place for place, one in enumerate(found) if place > first and not ends.isdisjoint(words_of(one[0]))), 0)
    return (found[0].start(), found[last - 1].end()) if last > first + 1 else None


def _turned(own: str, part: str) -> str:
    """The question before, at another time, place or for another one: what excludes that is left out of it."""
    said = {token.lower() for token in tokens(part)}
    other = "|".join(sorted(re.escape(word) for word in {token.lower() for token in tokens(own)} & EXCLUSIVE))
    if said & EXCLUSIVE and other:
        own = re.sub(rf"\s+(?:\w+\s+)?(?:{other})\b", "", own, flags=re.I)
    else:  # `am Wochenende` and `an Werktagen`
        own = re.sub(rf"\s+{re.escape(part[:1])}\w{{0,3}}\s+(?:\w+\s+)?\w+\W*$", "", own, flags=re.I)
    return f"{own.rstrip(' ?!.')} {part}?"


def _standings(question: str, words: Words) -> list[_Standing]:
    """What a question by itself is about, the likeliest first. Where it asks which thing somebody has done something with, it
    is that thing (`Which boat did the club buy?`), and whoever did it where that one is named."""
    language = _language(question)
    phrase, thing = _phrase(question, language, words), _thing(question, language)
    about = [_Standing(question, phrase, _telling(phrase, language, words), thing=thing)]
    if not thing or thing in phrase or not _ACTS.search(question):
        return about
    named = about if _names(question, language, words) else []
    return [_Standing(question, thing, _telling(thing, language, words), thing=thing), *named]


def _named(standing: _Standing, question: str, answer: str, words: Words) -> _Standing:
    """The same with the names that the answer gave to what was asked for: `it` is the Heron afterwards as well as the boat."""
    if not standing.thing or standing.thing != standing.phrase or standing.own != question or is_refusal(answer):
        return standing
    known = {token.lower() for token in tokens(question)}
    names = [name for name in specifics(answer, words=words).names if name.lower() not in known | EXCLUSIVE]
    if not 0 < len(names) <= _MOST_NAMES:
        return standing
    phrase = " ".join((standing.phrase, *names))
    return replace(standing, phrase=phrase, topic=(*standing.topic, *names), named=tuple(names))


def _thing(question: str, language: Language) -> str:
    """What a question asks for one of (`boat` of `Which boat …`); empty where it asks otherwise."""
    if (span := _asked_for(question, language)) is None:
        return ""
    said = list(_TOKEN.finditer(question, *span))
    first = next(place for place, one in enumerate(said) if one[0].lower() in language.determiners)
    return question[said[first + 1].start() : span[1]]


def _phrase(question: str, language: Language, words: Words) -> str:
    """The part of a question that says what it is about: what it names, with the words beside that; else its nouns, as far as
    they are told by what stands in front of them."""
    found = list(_TOKEN.finditer(question))
    names = _names(question, language, words)
    light = LIGHT | language.light | EXCLUSIVE
    telling = [one[0] in names or not (language.says_nothing(one[0]) or one[0].lower() in light) for one in found]
    before = ["", *(one[0].lower() for one in found)]
    if names:
        first = last = next(place for place, one in enumerate(found) if one[0] in names)
        while last + 1 < len(found) and found[last + 1][0] in names:
            last += 1
        while first > 0 and telling[first - 1] and found[first - 1][0].islower() and before[first - 1] in language.articles:
            first -= 1
        # `the Corvo lamp made`: a name has one noun behind it, as far as that is no verb
        if last + 1 < len(found) and telling[last + 1] and before[first] in language.articles:
            last += 1
        return question[found[first].start() : found[last].end()]
    capitals = language.code == "de" and any(one[0][:1].isupper() for one in found[1:])
    runs: list[tuple[int, int]] = []
    for place, one in enumerate(found):
        if not telling[place] or (capitals and not (place and one[0][:1].isupper())):
            continue
        if runs and runs[-1][1] == place - 1:
            runs[-1] = (runs[-1][0], place)
        elif capitals or (place and not telling[place - 1] and before[place] not in language.asks | language.verbs):
            runs.append((place, place))
    # `Which licence does the platform have`: it is about what is behind the verb, which `it` stands for afterwards
    asked = _asked_for(question, language)
    behind = next((one[0].lower() for one in found if asked is not None and one.start() >= asked[1]), "")
    if asked is not None and behind in language.auxiliaries:
        runs = [run for run in runs if found[run[0]].start() >= asked[1]] or runs
    # `does the swimming pool open`: behind what is done by it stands what it does
    runs = [
        (a, b - 1) if b > a and a > 1 and before[a] in language.articles and before[a - 1] in language.verbs else (a, b)
        for a, b in runs
    ]
    return " ".join(question[found[a].start() : found[b].end()] for a, b in runs)


def _telling(phrase: str, language: Language, words: Words) -> tuple[str, ...]:
    said = (token for token in tokens(phrase) if words(token) and not language.says_nothing(token))
    return tuple(dict.fromkeys(token for token in said if token.lower() not in LIGHT | language.light))


def _names(question: str, language: Language, words: Words) -> set[str]:
    """What a question names, with what it numbers."""
    asked = specifics(question, words=words)
    names = {name for name in asked.names if name.lower() not in EXCLUSIVE}
    if language.code == "de":  # whose nouns have capitals as well
        names = {name for name in names if re.search(r"\d|\w[_./@]\w|[a-zß-ü][A-Z]", name)}
    return names | {token for token in tokens(question) if token.isdigit() and number_of(token) in asked.numbers}


def _pointing(question: str, language: Language) -> frozenset[str]:
    """The words of a question that point at what was named before it."""
    said = _EXPLETIVE.sub(" ", _RELATIVE.sub(" ", question))
    return language.points.intersection(part for word in words_of(said) for part in word.split("-"))


def _is_part(rest: str, language: Language, *, opened: bool) -> bool:
    """Whether what was asked is a part of a sentence alone."""
    said = [part for word in words_of(rest) for part in word.split("-")] or tokens(rest)
    if not said or len(said) > _MOST_OF_A_PART or not language.verbs.isdisjoint(said):
        return False
    return (opened or len(said) < 4) and said[0] not in language.asks


def _language(question: str) -> Language:
    return language_of(question) or languages()[0]
