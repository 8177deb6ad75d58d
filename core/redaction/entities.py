"""What is found in a text: an entity, its type, and which of several that overlap are kept."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum


class PIIType(StrEnum):
    """The kinds of personal data. Names as Presidio has them, where it has one."""

    PERSON = "PERSON"
    TITLE = "TITLE"
    ORGANIZATION = "ORGANIZATION"
    LOCATION = "LOCATION"
    ADDRESS = "ADDRESS"
    DATE_TIME = "DATE_TIME"
    PHONE_NUMBER = "PHONE_NUMBER"
    EMAIL_ADDRESS = "EMAIL_ADDRESS"
    URL = "URL"
    IP_ADDRESS = "IP_ADDRESS"
    MAC_ADDRESS = "MAC_ADDRESS"
    CREDIT_CARD = "CREDIT_CARD"
    IBAN_CODE = "IBAN_CODE"
    CRYPTO = "CRYPTO"
    US_SSN = "US_SSN"
    US_ITIN = "US_ITIN"
    US_DRIVER_LICENSE = "US_DRIVER_LICENSE"
    US_BANK_NUMBER = "US_BANK_NUMBER"
    UK_NHS = "UK_NHS"
    PASSPORT = "PASSPORT"
    NATIONAL_ID = "NATIONAL_ID"
    ACCOUNT_NUMBER = "ACCOUNT_NUMBER"
    SECRET = "SECRET"  # noqa: S105 - the kind, not one of them


#: Read off their form, by rules and checksums; the others are told from their surroundings.
STRUCTURED = frozenset(PIIType) - {
    PIIType.PERSON,
    PIIType.TITLE,
    PIIType.ORGANIZATION,
    PIIType.LOCATION,
    PIIType.ADDRESS,
    PIIType.DATE_TIME,
}

_KIND = {kind.value: kind for kind in PIIType}


@dataclass(frozen=True, slots=True)
class Entity:
    """A stretch of a text. `start` and `end` count characters (code points), `end` is the first one behind it; `score` is
    how sure the finding is, 0 to 1."""

    type: PIIType
    start: int
    end: int
    score: float

    def __len__(self) -> int:
        return self.end - self.start


def kind_of(name: str) -> PIIType | None:
    """The type of that name; None where there is none."""
    return _KIND.get(name)


def without_overlaps(found: Iterable[Entity], text: str) -> list[Entity]:
    """The entities that are kept, in the order of the text, none touching another's characters.

    The surer one wins, then the longer; of a loser what sticks out on either side is kept where it holds a letter or a digit:
    what one of them saw as personal data is never left standing because another saw half of it.
    """
    kept: list[Entity] = []
    for entity in sorted(found, key=lambda one: (-_rank(one), one.start - one.end, one.start)):
        kept += (piece for piece in _outside(entity, kept) if any(map(str.isalnum, text[piece.start : piece.end])))
    return sorted(kept, key=lambda one: one.start)


def _rank(entity: Entity) -> float:
    """An address holds names and numbers that others see as well: the whole of it is the better finding."""
    return entity.score + (0.5 if entity.type is PIIType.ADDRESS else 0.0)


def _outside(entity: Entity, others: Sequence[Entity]) -> list[Entity]:
    pieces = [entity]
    for other in others:
        cut: list[Entity] = []
        for piece in pieces:
            if other.end <= piece.start or other.start >= piece.end:
                cut.append(piece)
                continue
            if piece.start < other.start:
                cut.append(Entity(piece.type, piece.start, other.start, piece.score))
            if other.end < piece.end:
                cut.append(Entity(piece.type, other.end, piece.end, piece.score))
        pieces = cut
    return pieces


def trimmed(entity: Entity, text: str) -> Entity:
    """The entity without blanks and commas at its ends."""
    start, end = entity.start, entity.end
    while start < end and (text[start].isspace() or text[start] in ",;"):
        start += 1
    while end > start and (text[end - 1].isspace() or text[end - 1] in ",;"):
        end -= 1
    return entity if (start, end) == (entity.start, entity.end) else Entity(entity.type, start, end, entity.score)
