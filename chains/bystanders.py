"""Names that a passage mentions beside what it is about: `Do not plant it next to the Corvus ivy`.

What a sentence without any name says (`It grows to a height of 70 centimetres`) is of the thing that was spoken of, and never
of one that was mentioned in this way alone.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from chains.vocabulary import ENGLISH, GERMAN
from retrievers.sentences import units

#: What puts a thing beside another one, with what may stand between it and the name.
_BESIDE: Final = re.compile(
    r"\b(?:with|to|than|from|near|beside|besides|unlike|like|except|against|versus|vs\.?|before|after|alongside|"
    r"mit|neben|als|statt|außer|gegen|vor|nach)\s+(?:(?:that|those) of\s+)?"
    r"(?:(?:the|an?|any|our|other|der|die|das|dem|den|ein\w*)\s+){0,2}(?:[\w-]+\s+)?$",
    re.I,
)
#: The words that a sentence begins with, among which its subject is.
_BEGINNING: Final = 4
_PERSON: Final = re.compile(r"(?:he|she|his|her|er|sie|sein\w*|ihr\w*)\b", re.I)
_WORD: Final = re.compile(r"[^\W_][\w'’-]*")


def is_bystander(name: str, question: str, passage: str, before: str, sentence: str, *, terms: bool = False) -> bool:
    """Whether what a sentence says is of another thing than the one that the question names: its passage mentions that one
    beside others alone, and something else with a name is spoken of in the sentence or before it. A sentence that mentions it
    so itself may answer, where it has any of the question's other words (`terms`).

    `passage` has the headings as well, `before` is what of it stands in front of the sentence.
    """
    if _PERSON.match(sentence) or any(_BESIDE.search(text) for text in _leading(name, question)):
        return False
    mentions = list(_leading(name, passage))
    if not mentions or not all(_BESIDE.search(text) for text in mentions) or (terms and _mentioned(name, sentence)):
        return False
    asked = {word.lower() for word in _WORD.findall(question)}
    return any(subject.lower() not in asked for subject in _subjects(f"{before}{sentence}", passage))


def kind_named(name: str, question: str) -> str:
    """The word behind a name that says what it is a name of, in small letters: `ivy` of `the Corvus ivy`; else empty."""
    found = re.search(rf"(?<!\w){re.escape(name)}\s+([a-zäöüß-]+)", question)
    return found[1] if found else ""


def _mentioned(name: str, text: str) -> bool:
    return any(True for _ in _leading(name, text))


def _leading(name: str, text: str) -> Iterator[str]:
    """What stands in front of each mention, within its sentence."""
    for match in re.finditer(rf"(?<!\w){re.escape(name)}", text, re.I):
        yield re.split(r"[.!?:;\n]", text[max(0, match.start() - 80) : match.start()])[-1]


def _subjects(before: str, passage: str) -> Iterator[str]:
    """Names among the first words of sentences. A sentence's very first word is one where it has a capital elsewhere, too."""
    for unit in units(before):
        words: Sequence[str] = _WORD.findall(before[unit.start : unit.end])[:_BEGINNING]
        for place, word in enumerate(words):
            if not word[:1].isupper() or word.lower() in ENGLISH | GERMAN or len(word) < 3:
                continue
            if place or re.search(rf"(?<=[\w,] ){re.escape(word)}\b", passage):
                yield word
