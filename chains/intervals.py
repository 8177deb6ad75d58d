"""Times and numbers that a text tells by both of their ends: `from 1998 to 2004`, `9:00–17:30`, `zwischen 3 und 5 Tagen`."""

import re
from collections.abc import Iterator, Sequence

_ASKS_FOR_DURATION = re.compile(r"\b(?:how long|for how many|during (?:which|what)|wie lange?|von wann)\b", re.I)
_NUMBER = r"(\d[\d.:/]*)"
#: What may stand between a number and what joins it to the other end: `3 May`, `9 a.m.`.
_BEHIND, _BEFORE = r"(?:\s+[^\W\d][\w.]*|\s+\d[\d.]*){0,2}\s*", r"\s*(?:[^\W\d][\w.]*\s+|\d[\d.]*\s+){0,2}"
_JOINED = re.compile(
    rf"{_NUMBER}{_BEHIND}(?:\b(?:to|until|till|through|bis)\b|[–—-]){_BEFORE}{_NUMBER}"
    rf"|\b(?:between|zwischen)\b{_BEFORE}{_NUMBER}{_BEHIND}\b(?:and|und)\b{_BEFORE}{_NUMBER}",
    re.I,
)
_FIGURE = re.compile(r"\d[\d.:/]*")


def is_cut(question: str, answer: str, sources: Sequence[str]) -> bool:
    """Whether an answer to how long something lasts tells one end of an interval whose other end its sources tell as well."""
    if not _ASKS_FOR_DURATION.search(question):
        return False
    told = {_bare(figure) for figure in _FIGURE.findall(answer)}
    return any((begin in told) != (end in told) for source in sources for begin, end in _ends(source))


def _ends(text: str) -> Iterator[tuple[str, str]]:
    for match in _JOINED.finditer(text):
        begin, end = (group for group in match.groups() if group)
        if _bare(begin) != _bare(end):
            yield _bare(begin), _bare(end)


def _bare(figure: str) -> str:
    return figure.rstrip(".:/")
