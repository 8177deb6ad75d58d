"""What the languages that questions are asked in have of their own, as data: a file each beside this module.

Words that tell nothing come from the stop words of Snowball, as tantivy brings them, and from the file, which adds the words of
asking that those leave out.
"""

import re
import tomllib
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Template
from typing import Any

from chains.vocabulary import ENGLISH, GERMAN
from retrievers.word_analysis import StopWords

_HERE = Path(__file__).parent
#: In the order in which they are taken where a text may be of several. Of English and German more is known, by
#: `chains.vocabulary`.
_CODES = ("en", "de", "fr", "es", "it", "pt", "nl")
_LISTED = {"en": ENGLISH, "de": GERMAN}
_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
#: `l'abonnement`, `dell'ingresso`: the article tells nothing, and hides the noun. English writes nothing so short before one.
_ELIDED = re.compile(
    r"\b([cdjlmnst]|qu|jusqu|lorsqu|puisqu|un|dell|all|nell|sull|dall|quell|quest|com|dov|cos)['’](?=\w{2})", re.I
)
#: What a letter that other languages lack says more than one word.
_BY_LETTER = 2


@dataclass(frozen=True)
class Language:
    """A language. `points` are the words that stand for what was named before, `weak_points` those of them that mostly say
    something else; `opens` matches what a follow-up begins with, `verbs` are those that make a question whole, `auxiliaries`
    those of them that what is spoken of stands behind. `determiners` ask for one of what is named behind them."""

    code: str
    stop_words: StopWords
    words: frozenset[str]
    light: frozenset[str]
    letters: str
    opens: re.Pattern[str]
    asks: frozenset[str]
    determiners: frozenset[str]
    articles: frozenset[str]
    points: frozenset[str]
    weak_points: frozenset[str]
    verbs: frozenset[str]
    auxiliaries: frozenset[str]
    of: re.Pattern[str]
    numbers: dict[str, str]
    fractions: frozenset[str]
    moments: frozenset[str]
    spans: frozenset[str]
    free: frozenset[str]
    #: The forms of questions for a price, a number and a time.
    kinds: dict[str, re.Pattern[str]]
    refusals: dict[str, str]

    @property
    def judged_apart(self) -> bool:
        """Whether questions in it are judged by what stands here, and not by `chains.vocabulary`."""
        return self.code not in _LISTED

    def says_nothing(self, word: str) -> bool:
        """Whether a word is an article, a pronoun, a word of asking or another one that tells nothing."""
        said = word.lower()
        if said in self.words or not self.stop_words.without([said]):
            return True
        return "-" in said and all(map(self.says_nothing, said.split("-")))

    def refusal(self, name: str, **values: Any) -> str:
        """What is said where there is no answer."""
        return Template(self.refusals[name]).substitute(values)


def parted(text: str) -> str:
    """The text with its elided articles as words of their own."""
    return _ELIDED.sub(r"\1 ", text)


def words_of(text: str) -> list[str]:
    """The words of a text in small letters, elided articles apart."""
    return [word.lower() for word in _WORD.findall(parted(text))]


def is_refusal(text: str) -> bool:
    """Whether a text says nothing, or that a collection does not hold an answer, in any of the languages."""
    told = (template for language in languages() for template in language.refusals.values())
    return not text or any(text.startswith(template.split("$", 1)[0]) for template in told)


def language_of(text: str) -> Language | None:
    """The language that most of a text's words of no content are of; None where there are none such."""
    found: Counter[str] = Counter()
    said = words_of(text)
    for language in languages():
        found[language.code] = sum(language.says_nothing(word) for word in said)
        if found[language.code]:
            found[language.code] += sum(word in language.light for word in said)
        if language.letters and re.search(f"[{language.letters}]", text, re.I):
            found[language.code] += _BY_LETTER
    code, count = max(found.items(), key=lambda pair: pair[1])  # the first of several
    return _read(code) if count else None


@cache
def languages() -> tuple[Language, ...]:
    """All that are known, English first."""
    return tuple(map(_read, _CODES))


@cache
def _read(code: str) -> Language:
    data = tomllib.loads((_HERE / f"{code}.toml").read_text(encoding="utf-8"))

    def words(name: str) -> frozenset[str]:
        return frozenset(data.get(name, "").split())

    def pattern(text: str) -> re.Pattern[str]:
        return re.compile(rf"\b(?:{text or '(?!)'})(?!\w)", re.I)

    single, *phrases = data["opens"].split("|")
    opening = "|".join([*sorted(phrases, key=len, reverse=True), *single.split()])
    return Language(
        code,
        StopWords(data["stop_words"]),
        words("words") | _LISTED.get(code, frozenset()),
        words("light"),
        data.get("letters", ""),
        re.compile(rf"^\W*(?:{opening})(?!\w)[\s,]*", re.I),
        words("asks"),
        words("determiners"),
        words("articles"),
        words("points"),
        words("weak_points"),
        words("verbs"),
        words("auxiliaries"),
        re.compile(rf"^\W*(?:{data['of']})(?!\w)\s*", re.I),
        dict(pair.split("=") for pair in data.get("numbers", "").split()),
        words("fractions"),
        words("moments"),
        words("spans"),
        words("free"),
        {name: pattern(data[name]) for name in ("costs", "counts", "times") if name in data},
        dict(data["refusals"]),
    )
