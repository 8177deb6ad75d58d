"""Values that are split over the texts of one message: providers, and models, read its parts as one text."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from core.redaction.entities import Entity, PIIType, without_overlaps

#: Characters on each side of a cut within which a value that goes over it is looked for.
_AROUND: Final = 4000
#: What a provider may put between two parts.
_BETWEEN: Final = (" ", "")
#: Whose end cannot be told from the word that follows at once: one that its part holds whole goes no further.
_OPEN_ENDED: Final = frozenset({PIIType.EMAIL_ADDRESS, PIIType.URL})


@dataclass(frozen=True, slots=True)
class Split:
    """An entity that goes over a cut. Its place is in the parts put together with nothing between; `value` as it was read."""

    entity: Entity
    value: str


Search = Callable[[str], Awaitable[Sequence[Entity]]]


async def split_values(parts: Sequence[str], search: Search) -> list[Split]:
    """What goes over a cut between parts, in their order, none overlapping another; what one part holds whole is not told."""
    cuts = list(accumulate(map(len, parts)))[:-1]
    found: dict[Entity, str] = {}
    for between in _BETWEEN:
        for first, last in _windows(parts, cuts):
            text = between.join(parts[first : last + 1])
            begin = cuts[first - 1] if first else 0
            lower = max(0, cuts[first] - begin - _AROUND)
            window = text[lower : cuts[last - 1] - begin + len(between) * (last - first) + _AROUND]
            for one in await search(window):
                start, end = (_plain(at + lower, parts[first : last + 1], len(between)) + begin for at in (one.start, one.end))
                cut = next((cut for cut in cuts if start < cut < end), None)
                if cut is None or (one.type in _OPEN_ENDED and await _whole(one.type, start, cut, parts, search)):
                    continue
                found.setdefault(Entity(one.type, start, end, one.score), window[one.start : one.end])
    whole = "".join(parts)
    return [Split(one, found.get(one, whole[one.start : one.end])) for one in without_overlaps(found, whole)]


def without(parts: Sequence[str], found: Sequence[tuple[Entity, str]]) -> list[str]:
    """The parts with each entity replaced, in the part that it begins in; the others keep what is not of it."""
    made, begin = [], 0
    for part in parts:
        end, text, at = begin + len(part), [], begin
        for one, by in found:
            if one.end <= begin or one.start >= end:
                continue
            text += [part[at - begin : max(one.start, at) - begin], by if begin <= one.start else ""]
            at = min(one.end, end)
        made.append("".join([*text, part[at - begin :]]))
        begin = end
    return made


async def _whole(kind: PIIType, start: int, cut: int, parts: Sequence[str], search: Search) -> bool:
    """Whether the part that ends at `cut` holds by itself what begins at `start` and goes to its end."""
    begin, part = next(
        (end - len(part), part) for part, end in zip(parts, accumulate(map(len, parts)), strict=True) if end >= cut
    )
    alone = [(one.type, one.start + begin, one.end + begin) for one in await search(part)]
    return (kind, start, cut) in alone


def _windows(parts: Sequence[str], cuts: Sequence[int]) -> list[tuple[int, int]]:
    """Runs of parts, first and last, that are read together: those between which the cuts are near each other."""
    runs: list[tuple[int, int]] = []
    for number in range(len(cuts)):
        if runs and len(parts[number]) <= 2 * _AROUND:
            runs[-1] = (runs[-1][0], number + 1)
        else:
            runs.append((number, number + 1))
    return runs


def _plain(at: int, parts: Sequence[str], between: int) -> int:
    """A place in parts that were put together with so many characters between, where there are none."""
    begin = 0
    for number, part in enumerate(parts):
        if at <= begin + len(part):
            return max(at, begin) - number * between
        begin += len(part) + between
    return at - (len(parts) - 1) * between
