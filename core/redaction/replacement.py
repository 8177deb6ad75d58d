"""Personal data taken out of a text: for good (`<PERSON>`), or behind pseudonyms that lead back (`<PERSON_1>`)."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence

from core.errors import InvalidRequest
from core.redaction.entities import Entity, PIIType
from core.redaction.reading import plain

#: The form of a pseudonym: one that models leave as it is, and that no type outgrows.
PSEUDONYM = re.compile(r"<[A-Z][A-Z_]{1,30}_[1-9]\d{0,6}>")
MAX_PSEUDONYM = 40
#: The same in a JSON document, whose writer may escape the brackets.
_ESCAPED = re.compile(r"(?:<|\\u003[cC])([A-Z][A-Z_]{1,30}_[1-9]\d{0,6})(?:>|\\u003[eE])")


def redacted(text: str, entities: Iterable[Entity]) -> tuple[str, list[str]]:
    """The text with every entity replaced by its type, and what each was replaced by."""
    found = list(entities)
    replacements = [f"<{one.type.value}>" for one in found]
    return replaced(text, found, replacements), replacements


def replaced(text: str, entities: Sequence[Entity], replacements: Sequence[str]) -> str:
    """The text with each entity replaced. Entities stand in its order and do not overlap."""
    parts, at = [], 0
    for one, replacement in zip(entities, replacements, strict=True):
        parts += [text[at : one.start], replacement]
        at = one.end
    return "".join([*parts, text[at:]])


class Pseudonyms:
    """The pseudonyms of one conversation: the same value of the same type has the same one, however it is spaced or in what
    case it is written. Of the spellings the first comes back."""

    def __init__(self, mapping: Mapping[str, str] | None = None) -> None:
        """Take up a `mapping` of pseudonyms to values where one was left.

        Raises:
            InvalidRequest: a key of it is no pseudonym.
        """
        self._values: dict[str, str] = {}
        self._known: dict[tuple[str, str], str] = {}
        self._last: dict[str, int] = {}
        self._reserved: set[str] = set()
        for pseudonym, value in (mapping or {}).items():
            if not PSEUDONYM.fullmatch(pseudonym):
                raise InvalidRequest("mapping: its keys must be pseudonyms such as <PERSON_1>", param="mapping")
            kind, number = pseudonym[1:-1].rsplit("_", 1)
            self._values[pseudonym] = value
            self._known[(kind, same(value))] = pseudonym
            self._last[kind] = max(self._last.get(kind, 0), int(number))

    @property
    def mapping(self) -> dict[str, str]:
        """Pseudonyms and what stands behind them: as secret as the texts themselves."""
        return dict(self._values)

    def reserve(self, text: str) -> None:
        """Give none of the pseudonyms that stand in this text to a value."""
        self._reserved |= set(PSEUDONYM.findall(text)) - self._values.keys()

    def among(self, given: Iterable[str]) -> "Pseudonyms":
        """Those alone that are in `given`, to put values back."""
        return type(self)({pseudonym: self._values[pseudonym] for pseudonym in given if pseudonym in self._values})

    def replace(self, text: str, entities: Iterable[Entity]) -> tuple[str, list[str]]:
        """The text with every entity behind its pseudonym, and the pseudonyms.

        A pseudonym that the text itself holds is never given to a value: nobody can ask for another's data by writing it.
        """
        found = list(entities)
        self.reserve(text)
        pseudonyms = [self.pseudonym(one.type, text[one.start : one.end]) for one in found]
        return replaced(text, found, pseudonyms), pseudonyms

    def restore(self, text: str) -> str:
        """The text with the values back. Pseudonyms that nobody gave stay as they are."""
        return PSEUDONYM.sub(lambda match: self._values.get(match[0], match[0]), text)

    def pseudonym(self, kind: PIIType, value: str) -> str:
        """The value's pseudonym, made where it has none yet."""
        known = self._known.get((kind.value, same(value)))
        if known is not None:
            return known
        number = self._last.get(kind.value, 0) + 1
        while f"<{kind.value}_{number}>" in self._reserved:
            number += 1
        pseudonym = f"<{kind.value}_{number}>"
        self._last[kind.value] = number
        self._values[pseudonym] = value
        self._known[(kind.value, same(value))] = pseudonym
        return pseudonym


class JSONPseudonyms(Pseudonyms):
    """Puts values back into the text of a JSON document: they are written as the inside of a string."""

    def restore(self, text: str) -> str:
        """The text with the values back, also for pseudonyms whose brackets were written as escapes."""
        return _ESCAPED.sub(lambda match: self._inside(f"<{match[1]}>") or match[0], text)

    def _inside(self, pseudonym: str) -> str | None:
        value = self._values.get(pseudonym)
        return None if value is None else json.dumps(value, ensure_ascii=False)[1:-1]


def same(value: str) -> str:
    """What two spellings of a value have in common."""
    return " ".join(plain(value).split()).casefold()
