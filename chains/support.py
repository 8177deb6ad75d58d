"""Whether what a small model says is what one quoted sentence says.

A model that pools the words of several sentences says what none of them does. So each of its sentences has to be one sentence
of one quote, shortened or turned round at most; where it is not, the quote itself answers better.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from chains.actions import act_of
from chains.kinds import kind_of
from chains.languages import language_of, words_of
from chains.quotes import Quote, plain
from chains.relevance import TOKEN, tokens
from chains.specifics import Words, figures, number_of, numbers, spelt_numbers
from chains.vocabulary import ENGLISH, GERMAN, LIGHT
from retrievers.sentences import units

_NEGATION = re.compile(r"\b(not|no|never|none|neither|nor|without|cannot|\w+n['’]t)\b", re.I)
#: The same in the other languages that questions are asked in.
_DENIES = re.compile(
    rf"{_NEGATION.pattern}|\b(nicht|keine?[nmrs]?|nie|niemals|ohne|pas|aucune?|jamais|sans|ningun[oa]?|ningún|nunca|sin|"
    r"non|nessun[oa]?|mai|senza|não|nenhuma?|sem|niet|geen|nooit|zonder)\b",
    re.I,
)
#: That one thing is the other, or that something is so.
_IS = re.compile(
    r"\b(?:is|are|was|were|be|been|am|ist|sind|war|waren|wird|werden|wurden?|sein|seid)\b|['’](?:s|re)\b|[:=]", re.I
)
_ASIDE = re.compile(r"\(([^()]+)\)")
#: What a large model says in other words shares so much of its telling words with what says it, and so many of them.
_MOSTLY = 0.6
_FEWEST_SHARED = 2
#: Words that are in no search index and yet say what holds: a sentence has none that its quote does not have.
_BOUNDS = re.compile(
    r"\b(before|after|until|till|since|except|unless|only|alone|also|more|less|most|least|under|over|above|below|up to|about|"
    r"or|must|may|should|all|every|each|both|always|nur|ohne|außer|vor|nach|bis|mehr|weniger|oder|muss|darf|alle|immer)\b",
    re.I,
)
#: A heading that asks is a question as the caller's is: it states nothing that could be said again.
_ASKS = re.compile(
    r"\?\s*$|^(how|what|which|who|whom|whose|where|when|why|can|could|may|is|are|do|does|did|should|will|wie|was|welche[rsn]?|"
    r"wer|wo|wann|warum|kann|ist|sind|darf)\b",
    re.I,
)
#: What parts the thousands of a number.
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}\b)")
#: How something is done is not said by a name alone.
_FEWEST_WORDS = 3
_ARTICLE = frozenset({"a", "an", "ein", "eine", "einen", "einem", "einer"})
_DETERMINED = _ARTICLE | {
    "the",
    "this",
    "that",
    "its",
    "their",
    "one",
    "each",
    "every",
    "no",
    "der",
    "die",
    "das",
    "den",
    "dem",
}
#: How a small model begins where it was asked something: with the question, or with the heading.
_REPEATED = re.compile(r"^(?:[-*•]\s+)?(?P<lead>[^:`]{3,120}):\s+(?P<rest>\S.*)$", re.S)


@dataclass(frozen=True)
class _Unit:
    """A sentence of a quote, what names its subject (the headings that state something, the columns, what announces it), and
    what only asks."""

    text: str
    labels: str
    asked: str


def without_repetition(sentence: str, question: str, around: Sequence[str], *, words: Words) -> str:
    """The sentence without a beginning up to a colon that only repeats the question or a heading."""
    if (found := _REPEATED.match(sentence)) is None:
        return sentence
    empty = set(words(" ".join(ENGLISH | GERMAN | LIGHT)))
    lead = set(words(found["lead"])) - empty
    if any(lead <= set(words(f"{question}\n{heading}")) for heading in (*around, "")):
        return found["rest"]
    return sentence


def supporting(sentence: str, quotes: Sequence[str], question: str, *, words: Words, around: Sequence[str] = ()) -> int | None:
    """The place of the quote that says what the sentence says, as far as words tell; None where none does by itself.

    All of the sentence's words, numbers and names have to be one sentence's of that quote, in its order, or stand `around` it
    (each quote's headings and columns, a line each); it denies and bounds what that one does; of several numbers it has all or
    none; and it adds something to the words of the question and of the headings. That the question says a word is no reason to
    say it: it may be what is wrong with it.
    """
    if sentence.rstrip().endswith("?") or sentence.count("`") % 2:
        return None
    for place, (quote, heading) in enumerate(zip(quotes, around or [""] * len(quotes), strict=True)):
        if any(_says(unit, sentence, question, words) for unit in _units(quote, heading)):
            return place
    return None


def leaves_out(answer: str, quotes: Sequence[Quote], question: str, *, words: Words) -> bool:
    """Whether an answer lacks what its quotes tell of what was asked: one of the question's words, one of the kind that it asks
    for, or what stands in brackets. What is shortened so is no sentence any more, or says less than the quote."""
    said = "\n".join(plain(quote.text) for quote in quotes)
    asked = {word for word in words(question) if number_of(word) is None} - set(words(" ".join(ENGLISH | GERMAN)))
    if asked & set(words(said)) - set(words(answer)):
        return True
    kind = kind_of(question)
    if kind is not None and kind.held(said, row=False) and not kind.held(answer, row=False):
        return True
    return any(not set(words(aside)) <= set(words(answer)) for aside in _ASIDE.findall(said))


def backing(sentence: str, quotes: Sequence[Quote], *, words: Words) -> Quote | None:
    """The quote that says what a sentence of a large model says, in other words perhaps; None where none does.

    It has most of the sentence's telling words and all of its numbers, in digits or words, and denies where the sentence does.
    """
    telling, told = set(_telling(sentence, words)), figures(sentence)
    if len(telling) < _FEWEST_SHARED:
        return None
    shares: list[tuple[float, Quote]] = []
    for quote in quotes:
        said = f"{quote.heading}\n{quote.columns}\n{quote.text}"
        denies = bool(_DENIES.search(quote.text)) == bool(_DENIES.search(sentence))
        if denies and told <= spelt_numbers(said) | spelt_numbers(quote.text):
            shares.append((len(telling & set(words(said))) / len(telling), quote))
    share, best = max(shares, key=lambda pair: pair[0], default=(0.0, None))
    return best if share >= _MOSTLY else None


def _telling(text: str, words: Words) -> list[str]:
    """A text's words that tell something in its language, without its numbers."""
    language = language_of(text)
    said = [word for word in words_of(text) if language is None or not language.says_nothing(word)]
    return [stem for word in said if number_of(word) is None for stem in words(word)]


def _units(quote: str, around: str) -> list[_Unit]:
    parts = [part.strip() for line in around.splitlines() for part in line.split(" › ") if part.strip()]
    labels = [part for part in parts if not _ASKS.search(part)]
    asked = "\n".join(part for part in parts if _ASKS.search(part))
    found = []
    for unit in units(quote):
        text = quote[unit.start : unit.end]
        found.append(_Unit(text, "\n".join(labels), asked))
        if text.endswith(":"):
            labels.append(text)  # what it announces is read with it
    return found


def _says(unit: _Unit, sentence: str, question: str, words: Words) -> bool:
    empty = set(words(" ".join(ENGLISH | GERMAN)))
    own = [word for word in words(_THOUSANDS.sub("", sentence)) if word not in empty]
    theirs = [word for word in words(_THOUSANDS.sub("", unit.text)) if word not in empty]
    labels = set(words(unit.labels))
    spelt = numbers(f"{unit.text}\n{unit.labels}")
    telling = [word for word in own if number_of(word) is None]
    if not set(telling) - set(words(" ".join(LIGHT))) or (len(own) < _FEWEST_WORDS and act_of(question) is not None):
        return False
    if set(telling) - set(theirs) - labels or not numbers(sentence) <= spelt:
        return False
    if numbers(sentence) and not _values(unit.text) <= numbers(sentence):
        return False  # of `140 euros, for students 70 euros` which one holds is said by both
    if not set(own) & set(theirs) - set(words(question)) - set(words(unit.asked)) - labels:
        return False
    ordered = [number_of(word) or word for word in theirs]
    said = [word for word in (number_of(word) or word for word in own) if word in ordered]
    if said[-1] == ordered[0] and said[-1].isdigit():  # `in 2022` may stand at the end instead of the beginning
        said.pop()
    if not _in_order(said, ordered):
        return False
    if not _names(sentence) <= tokens(f"{unit.text}\n{unit.labels}"):
        return False
    if bool(_NEGATION.search(sentence)) != bool(_NEGATION.search(unit.text)):
        return False
    if _IS.search(sentence) and not _IS.search(f"{unit.text}\n{unit.labels}") and "|" not in unit.text:
        return False  # of `the contractor keeps insurance with Baltica` neither is the other
    return _bounds(sentence) <= _bounds(f"{unit.text}\n{unit.labels}") and _articles_hold(sentence, unit.text)


def _values(text: str) -> set[str]:
    """A text's numbers, each once: `1,870` is no 1 and no 870."""
    return figures(text) | {value for token in tokens(text) if not token.isdigit() and (value := number_of(token))}


def _in_order(own: Sequence[str], theirs: Sequence[str]) -> bool:
    """Whether words are a stretch of another text, where two that stand together may once change their places (`damage by
    frost`, `frost damage`). Nothing is left out between them: of `the bell is shown on Mondays and the pump on Fridays` that
    would say another day of the bell."""
    for first in range(len(theirs) - len(own) + 1):
        stretch = list(theirs[first : first + len(own)])
        apart = [place for place, (one, other) in enumerate(zip(own, stretch, strict=True)) if one != other]
        turned = [stretch[place] for place in reversed(apart)]
        if not apart or (len(apart) == 2 and apart[1] == apart[0] + 1 and [own[place] for place in apart] == turned):
            return True
    return False


def _bounds(text: str) -> set[str]:
    return {match.lower() for match in _BOUNDS.findall(text)}


def _articles_hold(sentence: str, text: str) -> bool:
    """Whether no word has got an article that makes a thing of a name (`the password is a swordfish`)."""
    theirs = [token.lower() for token in TOKEN.findall(text)]
    before: dict[str, set[str]] = {}
    for one, other in zip(["", *theirs], theirs, strict=False):
        before.setdefault(other, set()).add(one)
    own = [token.lower() for token in TOKEN.findall(sentence)]
    return all(one not in _ARTICLE or other not in before or before[other] & _DETERMINED for one, other in pairwise(own))


def _names(text: str) -> set[str]:
    """What of a text names something and cannot be put in other words, in small letters: what stands in backticks, has a digit
    or a sign inside as an identifier has, or a capital that does not begin the text."""
    named = {token for span in re.findall(r"`([^`]*)`", text) for token in TOKEN.findall(span)}
    for number, token in enumerate(TOKEN.findall(text)):
        if re.search(r"\d|\w[-_./@]+\w|\w[A-Z]", token) or (number and token[:1].isupper()):
            named.add(token)
    return {token.lower() for token in named if number_of(token) is None}
