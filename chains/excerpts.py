"""Choosing what of a long text goes into a prompt, and telling whether an answer rests on it."""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence

from chains.kinds import kind_of
from retrievers.seams import last_seam
from retrievers.sentences import units

GAP = "…"
_WORD = re.compile(r"\w+")
_BLOCK_CHARACTERS = 600
#: What is shown of a line, and how much text is read at a glance.
_LINE_CHARACTERS = 240
_FEW_CHARACTERS = 300
#: Words of questions about files that say nothing of what is asked for.
_COMMON = frozenset(
    _WORD.findall(
        "a an and any are as at be but by can did do does for from had has have how i if in into is it its me my no not of on "
        "or our please say says show so tell than that the their them there these they this to us was we were what when where "
        "which who whom why will with would you your about image images picture pictures photo document file page text read "
        "written write writing stands summarise summarize summary describe explain overview main point content"
    )
)


#: Who asks so wants the text itself.
_READING = re.compile(
    r"\b(read|transcribe|transcript|copy|extract|ocr|spell out|word for word|(?:does|do) (?:it|this|that|they|the \w+) say|"
    r"written|lies|vorlesen|abschreiben|abtippen|transkribier\w*|steht)\b",
    re.I,
)
_OF_READING = frozenset(
    _WORD.findall(
        "transcribe transcript copy extract ocr spell word for lie vorlesen abschreiben abtippen steht was da dort bild "
        "der die das den dem auf im in text es mir bitte all every everything complete whole full entire exactly line"
    )
)


def words(text: str) -> list[str]:
    """Words that carry meaning, in lower case, plurals cut."""
    found = (word.lower() for word in _WORD.findall(text))
    return [word[:-1] if len(word) > 3 and word.endswith("s") else word for word in found if word not in _COMMON]


def excerpt(text: str, question: str, max_characters: int) -> str:
    """At most `max_characters` of a text: the blocks that share the question's rarer words, and their neighbours, in order;
    without any, the beginning. Left-out stretches are marked with `…`."""
    if len(text) <= max_characters:
        return text
    blocks = list(_blocks(text))
    vocabularies = [set(words(block)) for block in blocks]
    frequency = Counter(word for vocabulary in vocabularies for word in vocabulary)
    asked = {word: math.log(1 + len(blocks) / frequency[word]) for word in set(words(question)) if word in frequency}
    scores = [sum(weight for word, weight in asked.items() if word in vocabulary) for vocabulary in vocabularies]
    beside = [max(scores[max(index - 1, 0)], scores[min(index + 1, len(scores) - 1)]) for index in range(len(scores))]
    order = sorted(range(len(blocks)), key=lambda index: (-scores[index] - beside[index] / 2, index))
    if asked:
        order = [index for index in order if scores[index] or beside[index]]
    chosen: set[int] = set()
    room = max_characters
    for index in order:
        if (cost := len(blocks[index]) + 3) <= room:
            chosen.add(index)
            room -= cost
        elif not chosen:
            return blocks[index][: last_seam(blocks[index], 0, max_characters) or max_characters]
        else:
            break
    parts: list[str] = []
    previous = -1
    for index in sorted(chosen):
        if index != previous + 1:
            parts.append(GAP)
        parts.append(blocks[index])
        previous = index
    return "\n".join(parts + [GAP] * (previous != len(blocks) - 1))


def asks_for_text(question: str) -> bool:
    """Whether a question wants the text read out, and nothing in particular of it."""
    return bool(_READING.search(question)) and not set(words(question)) - _OF_READING


def telling_lines(texts: Sequence[str], question: str, most: int) -> list[str]:
    """The lines that share most with a question, in order; the first ones where none shares anything."""
    return [line for _, line in telling_places(texts, question, most)]


def telling_places(texts: Sequence[str], question: str, most: int) -> list[tuple[int, str]]:
    """The same, each with the place of its text."""
    lines = [
        (place, line.strip())
        for place, text in enumerate(texts)
        for line in text.splitlines()
        if line.strip() and line.strip() != GAP
    ]
    asked = set(words(question))
    scores = [len(asked & set(words(line))) for _, line in lines]
    best = sorted(range(len(lines)), key=lambda index: (-scores[index], index))[:most]
    if any(scores[index] for index in best):
        best = [index for index in best if scores[index]]
    return [lines[index] for index in sorted(best)]


def shortened(line: str, question: str) -> str:
    """A line, or of a long one the sentence that shares most with a question."""
    if len(line) <= _LINE_CHARACTERS:
        return line
    asked = set(words(question))
    said = [line[unit.start : unit.end] for unit in units(line)]
    best = max(range(len(said)), key=lambda index: (len(asked & set(words(said[index]))), -index))
    text = said[best]
    if len(text) > _LINE_CHARACTERS:
        text = f"{text[: last_seam(text, 0, _LINE_CHARACTERS) or _LINE_CHARACTERS].rstrip()} {GAP}"
    return f"{GAP} {text}" if best else text


def may_tell(texts: Sequence[str], lines: Sequence[str], question: str) -> bool:
    """Whether most of what a question asks for is in the lines that were picked of the texts, or something of it, where these
    are so short that one sees at once what they say."""
    asked = set(words(question))
    found = asked.intersection(word for line in lines for word in words(line))
    if sum(map(len, texts)) <= _FEW_CHARACTERS:
        return bool(found) or not asked
    return not asked or len(found) > len(asked) / 2


def rests_on(answer: str, texts: Sequence[str], question: str) -> bool:
    """Whether an answer says what the texts say: its numbers are all there, in the lines that have most of the question's words
    where those have any, most of its words are there or were asked, and it has something of the lines that fit the question; a
    price or a time where one is asked for and told."""
    said = words(answer)
    if not said:
        return False
    known = {word for text in texts for word in words(text)}
    if any(any(character.isdigit() for character in word) and word not in known for word in said):
        return False
    closest = _closest(texts, question)
    figures, told = _figures(closest), _figures([answer])
    if figures and told - figures - _figures([question]):
        return False
    kind = kind_of(question)
    if kind is not None and any(kind.held(line, row=False) for line in closest) and not kind.held(answer, row=False):
        return False
    allowed = known | set(words(question))
    fitting = {word for line in telling_lines(texts, question, 6) for word in words(line)}
    return sum(word in allowed for word in said) >= 0.7 * len(said) and any(word in fitting for word in said)


def _closest(texts: Sequence[str], question: str) -> list[str]:
    """Of the lines that fit a question those with most of its words; none where no line has any."""
    asked = set(words(question))
    lines = telling_lines(texts, question, 6)
    shared = [len(asked & set(words(line))) for line in lines]
    return [line for line, count in zip(lines, shared, strict=True) if count and count == max(shared)]


def _figures(texts: Sequence[str]) -> set[str]:
    return {word for text in texts for word in words(text) if any(map(str.isdigit, word))}


def _pieces(line: str) -> Iterator[str]:
    """A line in pieces that a block may hold, cut between words as far as that can be: a half is found by no search."""
    start = 0
    while len(line) - start > _BLOCK_CHARACTERS:
        end = last_seam(line, start, start + _BLOCK_CHARACTERS) or start + _BLOCK_CHARACTERS
        yield line[start:end]
        start = end
    yield line[start:]


def _blocks(text: str) -> Iterator[str]:
    """Paragraphs; long ones in pieces of whole lines, long lines cut."""
    for paragraph in text.split("\n\n"):
        piece = ""
        for line in paragraph.split("\n"):
            for part in _pieces(line):
                if piece and len(piece) + len(part) > _BLOCK_CHARACTERS:
                    yield piece
                    piece = ""
                piece = f"{piece}\n{part}" if piece else part
        if piece.strip():
            yield piece
