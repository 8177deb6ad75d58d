"""Telling words about code from code: a small model gives lines of programs where it was asked for what it thinks of one."""

import re
from collections.abc import Sequence

from chains.code.syntax import problems

#: Grammars that take hardly any English for code of theirs.
_STRICT = frozenset(("python", "javascript", "typescript", "java", "csharp", "c", "cpp", "go", "rust", "php"))
#: A block that only begins, and how it ends.
_ENDS = {":": " pass", "{": "}"}
#: Words that a sentence has and a program has not.
_OF_SENTENCES = re.compile(
    r"\b(?:is|are|was|be|may|can|could|should|must|might|will|would|does|do|has|have|the|a|an|no|never|this|that|it|when|use|uses|"
    r"used|missing|without|instead|consider|add|avoid|too|always|only|more|less|into|from|of|by|to|ist|sind|wird|kann|nicht|kein|"
    r"keine|der|die|das|ein|eine|fehlt)\b",
    re.I,
)
_SPAN = re.compile(r"`[^`]*`|\"[^\"]*\"|'[^']*'")


def code_lines(texts: Sequence[str], language: str) -> list[bool]:
    """Of each text whether it is a line of code, and no sentence.

    As `syntax.problems`, it is run by `chains.code.parsing`.
    """
    return [_is_code(text.strip(), language) for text in texts]


def _is_code(text: str, language: str) -> bool:
    if not text:
        return False
    ways = [text, *([text + _ENDS[text[-1]]] if text[-1] in _ENDS else [])]
    for each in {"python", language} & _STRICT:
        if any(problems(way, each) == [] for way in ways) and not re.fullmatch(r"\w+", text):
            return True
    return not _OF_SENTENCES.search(_SPAN.sub("", text)) and bool(re.search(r"[=(){}\[\];]|:$", _SPAN.sub("", text)))


def is_prose(text: str) -> bool:
    """Whether a text that shows no language is a sentence or more, and nothing of a program."""
    words = re.findall(r"[^\W\d_]+", text)
    return (
        len(words) >= 4
        and not text.lstrip().startswith("(")
        and not re.search(r"[{}\[\];=<>|\\$@#*]|\w\(|\w\.\w|::|->|^\s{4,}\S|\b[A-Z]{3,} ", text, re.M)
        and len(re.findall(r"[^\w\s.,!?'’\"()-]", text)) * 10 <= len(words)
    )
