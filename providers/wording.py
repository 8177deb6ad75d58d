"""Whether two messages ask for the same in other words: the same words once what says nothing is taken away.

Vectors do not see what decides: all-MiniLM-L6-v2 puts "legal" and "illegal" at 0.99, "Monday" and "Tuesday" at 0.97, "Did Anna
pay Bob?" and "Did Bob pay Anna?" at 0.98 (measured, November 2026). No list of such pairs is complete. So it is listed what
may differ, and all else has to be equal, in form, case and order: politeness, short forms, two spellings of a word, the mark at
the end, and a few turns of phrase. From a quotation, a colon, a bracket or a second line on, every character counts.
"""

import re
import tomllib
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

_MARKS = frozenset(",.;?!")
_ENDS = frozenset(".?!")
#: What begins a stretch that is taken to the letter. An apostrophe within a word is none.
_TO_THE_LETTER = re.compile(r"[\n\r:\"`“”„«»<>{}\[\]()|=\\…]|(?<!\w)['’‘]|['’‘](?!\w)")
_GREETINGS = frozenset({"hi", "hello", "hey"})
#: More is said than a greeting and its mark, so that it is not what the message is about ("Hello, world!").
_GREETED = 4
_ASKING = frozenset({"what", "who", "whose", "where", "when", "why", "which", "how"})
_AUXILIARY = frozenset({"is", "are", "was", "were", "does", "did", "can", "has"})
_BEING = frozenset({"is", "are", "was", "were"})
_FAREWELLS = (("thanks", "in", "advance"), ("thank", "you", "in", "advance"), ("thank", "you"), ("thanks",))
_TO_KNOW = (("tell", "me"), ("i", "want", "to", "know"), ("i", "need", "to", "know"), ("i", "would", "like", "to", "know"))
_HOW_TO = (
    ("how", "to"),
    ("how", "do", "i"),
    ("how", "can", "i"),
    ("how", "does", "one"),
    ("how", "can", "one"),
    ("how", "i", "can"),
)
#: What "where the station is" may begin with after its first word, so that "where is the station" asks for the same.
_DETERMINERS = frozenset(
    [
        "the",
        "a",
        "an",
        "my",
        "your",
        "his",
        "her",
        "its",
        "our",
        "their",
        "this",
        "that",
        "these",
        "those",
        "it",
        "he",
        "she",
        "they",
    ]
)
#: Words of a clause whose verb stands at its end, at most: "where the next station is".
_SHORT_CLAUSE = 8


def says_the_same(one: str, other: str) -> bool:
    """Whether an answer to the one message is an answer to the other."""
    return one == other or _canonical(one) == _canonical(other)


@dataclass(frozen=True, slots=True)
class _Catalogue:
    """What may differ; see `wording.toml`."""

    short: dict[str, list[str]]
    spelling: dict[str, str]
    first: frozenset[str]
    of_words: frozenset[str]
    asked_for: frozenset[str]
    done: frozenset[str]
    facts: frozenset[str]
    places: frozenset[str]


@lru_cache(maxsize=1)
def _catalogue() -> _Catalogue:
    read = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    return _Catalogue(
        short={short: long.split() for short, long in read["short"].items()},
        spelling=read["spelling"],
        **{name: frozenset(words.split()) for name, words in read["words"].items()},
    )


def _canonical(text: str) -> tuple[str, ...]:
    """The message's words without what may differ, then what is taken to the letter."""
    text = unicodedata.normalize("NFC", text).strip()
    found = _TO_THE_LETTER.search(text)
    head, letters = (text, "") if found is None else (text[: found.start()], text[found.start() :])
    words = _words(head)
    if any(word.casefold() in _catalogue().of_words for word in words):
        return (text,)
    words = _without_politeness(words, ends=not letters)
    if not _ENDS.intersection(words[:-1]):
        words = _one_sentence(words, ends=not letters)
    return (*words, letters)


def _words(text: str) -> list[str]:
    """Words as they stand, short forms written out, a mark after a word apart. One that stands alone is a word."""
    words: list[str] = []
    for piece in text.split():
        bare = piece.rstrip(",.;?!")
        words += [*_written_out(bare), *piece[len(bare) :]] if bare else [f"{piece} by itself"]
    return _begun(words)


def _written_out(word: str) -> list[str]:
    short = word.replace("’", "'")
    if short in _catalogue().short:
        return _catalogue().short[short]
    if short.capitalize() == short and short.lower() in _catalogue().short:
        first, *rest = _catalogue().short[short.lower()]
        return [first.capitalize(), *rest]
    return [_catalogue().spelling.get(word, word)]


def _begun(words: list[str]) -> list[str]:
    """Without the capital of a first word, where it says nothing."""
    if words and words[0].capitalize() == words[0] and words[0].lower() in _catalogue().first | _GREETINGS:
        return [words[0].lower(), *words[1:]]
    return words


def _without_politeness(words: list[str], *, ends: bool) -> list[str]:
    if len(words) > _GREETED and words[0] in _GREETINGS and words[1] in _MARKS:
        words = _begun(words[2:])
    if words[:1] == ["please"]:
        words = _begun(words[2:] if words[1:2] == [","] else words[1:])
    return _without_farewell(words) if ends else words


def _without_farewell(words: list[str]) -> list[str]:
    end = len(words)
    while end and words[end - 1] in {".", "!"}:
        end -= 1
    for farewell in _FAREWELLS:
        start = end - len(farewell)
        if start > 1 and words[start - 1] in _ENDS and _opens(words[start:end], farewell):
            words = words[:start]
            break
    mark = words[-1:] if words and words[-1] in _ENDS else []
    body = words[: len(words) - len(mark)]
    return [*body[:-2], *mark] if body[-2:] == [",", "please"] else words


def _one_sentence(words: list[str], *, ends: bool) -> list[str]:
    mark = words[-1] if words and words[-1] in _ENDS else ""
    body, asks = _told(words[: len(words) - len(mark)])
    body = _how_to(body)
    question = asks or body[:1] == ["how to"] or (body[:1] and (body[0] in _ASKING or body[0] in _AUXILIARY))
    if not ends or mark == "!" or (mark == "?" and not question):
        body = [*body, mark] if mark else body
    return body


def _told(words: list[str]) -> tuple[list[str], bool]:
    """The words without a request to be told, and whether there was one: then a question mark says nothing more."""
    asks = False
    if len(words) > 3 and words[0] in {"can", "could", "would"} and words[1] == "you":
        polite = words[2] == "please"
        rest = words[3:] if polite else words[2:]
        if polite or rest[0] in _catalogue().asked_for or rest[:2] == ["tell", "me"]:
            words, asks = rest, True
    for opening in _TO_KNOW:
        rest = words[len(opening) :]
        if _opens(words, opening) and rest:
            if rest[0] in _ASKING:
                return _in_order(rest), True
            if rest[0] == "the" and _head(rest[1:]) in _catalogue().facts:
                return ["what", "is", *rest], True
    return words, asks


def _in_order(words: list[str]) -> list[str]:
    """A question told within another, as it stands by itself: "what the price is" is "what is the price"."""
    if len(words) not in range(3, _SHORT_CLAUSE) or words[-1] not in _BEING or _BEING.intersection(words[:-1]):
        return words
    named = words[0] in {"who", "where"} and words[1][:1].isupper()
    if words[0] in {"what", "who", "where", "when"} and (named or words[1] in _DETERMINERS):
        return [words[0], words[-1], *words[1:-1]]
    return words


def _head(words: list[str]) -> str:
    """The word that a noun phrase is about: the last before a preposition, or its last."""
    for index, word in enumerate(words):
        if word in {"of", "for", "between", "in", "on", "to", "from", "with", "at", "by", "and", "or", ","}:
            return words[index - 1] if index else ""
    return words[-1] if words else ""


def _how_to(words: list[str]) -> list[str]:
    """The ways to ask for instructions as one."""
    if len(words) > 4 and words[0] in {"in", "on"} and words[1] in _catalogue().places and words[2] == ",":
        rest = _how_to(_begun(words[3:]))
        return [*rest, *words[:2]] if rest[0] == "how to" and "," not in rest else words
    for opening in _HOW_TO:
        rest = words[len(opening) :]
        if _opens(words, opening) and len(rest) > 1 and rest[0] in _catalogue().done:
            return ["how to", *rest]
    return words


def _opens(words: list[str], opening: tuple[str, ...]) -> bool:
    return tuple(word.lower() for word in words[: len(opening)]) == opening
