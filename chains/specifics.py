"""What an answer cannot do without: the names, the numbers and the telling words of a question, each looked for in the text
that is to answer it.

A passage may be near to a question in all else; if it does not know the plumber, the year 2019 or furnace number seven, it says
nothing of them. What may be put in other words is looked for by meaning as well; names, numbers and members of a class that
exclude each other (Monday and Tuesday, north and south) are not.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from chains.languages import language_of, parted, words_of
from chains.vocabulary import CLASSES, ENGLISH, EXCLUSIVE, GERMAN, LIGHT, MEASURES, NUMBERS, OPPOSITES, POINTING, SAME

#: From this cosine on a word of the passage may stand for one of the question. It was set on pairs of words alone (fee and cost
#: lie above it, plumber and gardener below) and on the tuned half of `tests/chains/answerable`.
MEANT = 0.56
#: The same in a row or record: it has few words, and they name things.
MEANT_IN_ROW = 0.65
#: Two words that end alike for so many letters, and begin differently, name two kinds of one thing.
_SIBLING = 5
_TOKEN = re.compile(r"\w+(?:[-_./@'’+]+\w+)*")
_POSSESSIVE = re.compile(r"['’]s?$")
_NUMBER = re.compile(r"\d[\d.,:/]*\d|\d")
#: `Who was against it?` asks for nothing else.
_OPPOSED = re.compile(r"\b(?:is|are|was|were|be|been|vote[sd]?|voting)\s+against\b", re.I)
_QUOTED = re.compile(r"[\"“”„`«]([^\"“”„`»]{2,80})[\"“”`»]")

Embed = Callable[[Sequence[str]], NDArray[np.float32]]
Words = Callable[[str], Sequence[str]]


def tokens(text: str) -> list[str]:
    """The words, identifiers, paths and numbers of a text, in order, as they are written, without a possessive's end."""
    return [_POSSESSIVE.sub("", token) for token in _TOKEN.findall(text)]


def number_of(token: str) -> str | None:
    """The digits of a number, however it is written (`1,870`, `21st`, `seven`, `twenty-three`); None for another word."""
    if spelt := NUMBERS.get(token.lower()):
        return spelt
    if re.fullmatch(r"\d[\d.,:/]*(?:st|nd|rd|th)?", token, re.I):
        digits = re.sub(r"(?<=\d)[,.](?=\d{3}\b)|(?:st|nd|rd|th)$", "", token, flags=re.I)
        return re.sub(r"\b0+(?=\d)", "", digits)
    return None


def figures(text: str) -> set[str]:
    """The numbers that a text has in digits, those inside longer tokens as well (`12` of `12-18`, `3` of `v3`), as `number_of`
    writes them."""
    return {value for part in _NUMBER.findall(text) if (value := number_of(part))}


def numbers(text: str) -> set[str]:
    """The numbers of a text, in digits or words, as `number_of` writes them."""
    return figures(text) | {value for token in tokens(text) if (value := number_of(token))}


def spelt_numbers(text: str) -> set[str]:
    """The numbers of a text in digits, or in words of its language, as `number_of` writes them."""
    language = language_of(text)
    found = numbers(text)
    if language is None:
        return found
    return found | {language.numbers[part] for word in words_of(text) for part in word.split("-") if part in language.numbers}


@dataclass(frozen=True)
class Ground:
    """A text in which a question's specifics are looked for."""

    text: str
    words: Words

    @cached_property
    def stems(self) -> frozenset[str]:
        return frozenset(self.words(self.text))

    @cached_property
    def spelt(self) -> frozenset[str]:
        """Its words in small letters, those that a longer one is joined of as well."""
        whole = {token.lower() for token in tokens(self.text)}
        return frozenset(whole | {part for token in whole for part in re.split(r"[-_./@'’+]+", token) if part})

    @cached_property
    def plain(self) -> list[str]:
        """Its telling words, for comparison by meaning."""
        return sorted(word for word in self.spelt if len(word) > 2 and word not in ENGLISH and not word.isdigit())

    @cached_property
    def numbers(self) -> frozenset[str]:
        return frozenset(numbers(self.text))

    @cached_property
    def numbered(self) -> dict[str, set[str]]:
        """What is numbered in it, with the numbers: `plot` 12 and 17."""
        found: dict[str, set[str]] = {}
        for word, value in _numbered(tokens(self.text)):
            found.setdefault(word, set()).add(value)
        return found

    def answers(self, word: str) -> bool:
        """Whether it has a member of the class that the word names (`green` for `colour`), or a number for a measure."""
        other = CLASSES.get(word) or SAME.get(word, frozenset())
        return bool(other & self.spelt) or (word in MEASURES and bool(self.numbers))

    def qualified(self, kind: str) -> bool:
        """Whether a word stands in front of that one which tells which of its kind is meant."""
        empty = ENGLISH | GERMAN | LIGHT
        return any(
            number_of(before) is None and before.lower() not in empty and _inflected(kind.lower(), token.lower())
            for before, token in pairwise(tokens(self.text))
        )

    def knows(self, token: str) -> bool:
        """Whether it has the word, in any inflection, or as a part of a compound."""
        low = token.lower()
        if low in self.spelt:
            return True
        if re.search(r"[\d_./@]", low):
            return False  # an identifier has no other forms
        stems = self.words(token)
        return bool(stems and self.stems.issuperset(stems)) or any(_inflected(low, word) for word in self.spelt)


@dataclass(frozen=True)
class Specifics:
    """What of a question must stand in what answers it."""

    #: What names one thing: capitals, identifiers, quoted words, members of a class. To be found as it is.
    names: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    #: What is numbered (`plot`), and its number.
    numbered: tuple[tuple[str, str], ...] = ()
    #: What is told from others of its kind by a word in front: `penguin` and `nursery`.
    qualified: tuple[tuple[str, str], ...] = ()
    #: Ordinary words, to be found by meaning too, unless `literal`: the embedding model knows English alone.
    terms: tuple[str, ...] = ()
    literal: bool = False

    def contradicted(self, sentence: Ground, passage: Ground) -> bool:
        """Whether the sentence speaks of another one of what the question asks for: of plot 17, where 12 is meant, or of the
        octopus nursery, where the passage knows penguins as well, and theirs is meant."""
        if any(value not in sentence.numbered.get(what, {value}) for what, value in self.numbered):
            return True
        return any(
            sentence.qualified(kind) and not sentence.knows(which) and passage.knows(which) for which, kind in self.qualified
        )

    def opposed(self, sentence: Ground) -> bool:
        """Whether the sentence has the opposite of a word, and not the word: so many lived, where it is asked how many died."""
        return any(
            OPPOSITES.get(term.lower(), frozenset()) & sentence.spelt and not sentence.knows(term) for term in self.terms
        )

    def missing(self, ground: Ground, *, embed: Embed, meant: float = MEANT) -> list[str]:
        """What of it the text does not hold. Blocks while `embed` reads the text's words, where a word has to be looked for by
        its meaning: there one of the text's has to be as near as `meant` says, a cosine."""
        lacks = [name for name in self.names if not ground.knows(name)]
        lacks += [value for value in self.numbers if value not in ground.numbers]
        lacks += [f"{what} {value}" for what, value in self.numbered if value not in ground.numbered.get(what, {value})]
        if lacks:
            return lacks
        strange = [term for term in self.terms if not ground.knows(term) and not ground.answers(term.lower())]
        # a word that the question has as well stands for itself alone
        others = [word for word in ground.plain if not any(_inflected(word, term.lower()) for term in self.terms)]
        if self.literal or not strange or not others:
            return strange
        vectors = embed([*strange, *others])
        near = vectors[: len(strange)] @ vectors[len(strange) :].T
        return [term for term, row in zip(strange, near, strict=True) if not _means(term, others, row, meant)]


def specifics(question: str, *, words: Words) -> Specifics:
    """What the question names, numbers and is about."""
    language = language_of(question)
    apart = language if language is not None and language.judged_apart else None
    question = question if apart is None else parted(question)
    found = tokens(question)
    asking = {token.lower() for token in tokens(_asking(question))}
    low = [token.lower() for token in found]
    german = apart is None and sum(word in GERMAN for word in low) > sum(word in ENGLISH for word in low)
    english = apart is None and not german and any(word in ENGLISH for word in low)
    quoted = {token.lower() for match in _QUOTED.finditer(question) for token in tokens(match[1])}
    beginning = {token.lower() for sentence in re.split(r"[.!?:]\s", question) for token in tokens(sentence)[:1]}
    capitals = [
        token[:1].isupper() for token, word in zip(found, low, strict=True) if token[:1].isalpha() and word not in beginning
    ]
    # where nearly all begin with a capital, it tells nothing
    telling = not german and sum(capitals) <= max(1, 0.6 * len(capitals))
    names, terms, values = [], [], []
    for token, word in zip(found, low, strict=True):
        capital = telling and token[:1].isupper() and word not in beginning | ENGLISH
        if (value := number_of(token)) is not None:
            if word not in POINTING:
                values.append(value)
        elif re.search(r"\d|\w[_./@]\w|[a-z][A-Z]", token) or word in quoted or capital or word in EXCLUSIVE - ENGLISH:
            names.append(token)
        elif word not in asking or not words(token):
            continue
        elif apart is not None:
            if not apart.says_nothing(word) and word not in apart.light:
                terms.append(token)
        elif word == "against" and _OPPOSED.search(question):
            terms.append(token)
        elif word.removeprefix("un") in LIGHT or word in ENGLISH | GERMAN:
            continue
        elif german and any(capitals) and not token[:1].isupper():
            continue  # a verb or adjective; a German question shows by its capitals what it is about
        elif english or german or len(word) > 3:
            terms.append(token)
    return Specifics(
        names=tuple(dict.fromkeys(names)),
        numbers=tuple(dict.fromkeys(values)),
        numbered=tuple(dict.fromkeys(_numbered(found))),
        qualified=tuple((one, other) for one, other in pairwise(found) if one in terms and other in terms),
        terms=tuple(dict.fromkeys(terms)),
        literal=german or apart is not None,
    )


def _asking(question: str) -> str:
    """The part of what was written that asks, without greetings and reasons before it."""
    sentences = re.findall(r"[^?!.]*(?:[.!](?=\S)[^?!.]*)*\?", question)
    text = " ".join(sentences) or question
    _, colon, rest = text.partition(": ")
    return rest if colon and rest.split(" ", 1)[0].lower() in ENGLISH | GERMAN else text


def _numbered(found: Sequence[str]) -> Iterable[tuple[str, str]]:
    """The pairs of a word and the number right behind it, where the number tells one from another."""
    for before, token in pairwise(found):
        value = number_of(token)
        word = before.lower()
        if value is not None and token.lower() not in POINTING and word.isalpha() and word not in ENGLISH | GERMAN:
            yield word, value


def _shared(one: str, other: str) -> int:
    """How many letters two words begin alike with."""
    return next((place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _inflected(one: str, other: str) -> bool:
    """Whether two words are forms of one, or one is joined of the other: `deliver` and `delivery`, `öffnet` and `geöffnet`."""
    shared = _shared(one, other)
    if shared >= 4 and shared >= 0.66 * max(len(one), len(other)):
        return True
    return len(one) > 4 and one in other


def _means(term: str, others: Sequence[str], cosines: NDArray[np.float32], meant: float) -> bool:
    """Whether the nearest of the words may stand for the term."""
    nearest = int(np.argmax(cosines))
    return float(cosines[nearest]) >= meant and not _sibling(term, others[nearest])


def _sibling(one: str, other: str) -> bool:
    """Whether two words name kinds of one thing, or one a kind of the other: `northern`, `southern`; `chainsaw`, `saw`."""
    one, other = one.lower(), other.lower()
    alike = _shared(one[::-1], other[::-1])
    if alike >= _SIBLING and alike < max(len(one), len(other)):
        return True
    shorter, longer = sorted((one, other), key=len)
    stem = shorter.removesuffix("s")
    return len(stem) >= 3 and (longer.startswith(stem) or longer.endswith(shorter)) and len(longer) - len(stem) >= 4
