"""Metadata filters as Pinecone takes them."""

from collections.abc import Mapping
from typing import Any

SCALARS = (str, int, float, bool)


class Refused(Exception):
    """What Pinecone answers instead: a status and why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def check_filter(given: Mapping[str, Any], *, top: bool = False) -> None:
    for name, said in given.items():
        if name in ("$and", "$or"):
            if not isinstance(said, list) or not said:
                raise Refused(400, f"{name} takes a list")
            for part in said:
                check_filter(part)
            continue
        if name.startswith("$"):
            raise Refused(400, f"illegal condition {name}")
        for operator, value in said.items():
            number = isinstance(value, int | float) and not isinstance(value, bool)
            good = {
                "$eq": isinstance(value, SCALARS),
                "$ne": isinstance(value, SCALARS),
                "$in": isinstance(value, list) and 1 <= len(value) <= 10_000,
                "$nin": isinstance(value, list) and 1 <= len(value) <= 10_000,
                "$exists": isinstance(value, bool),
            } | dict.fromkeys(("$gt", "$gte", "$lt", "$lte"), number)
            if not good.get(operator):
                raise Refused(400, f"illegal {operator} of {name}")


def holds(asked: Mapping[str, Any], kept: Mapping[str, Any]) -> bool:
    for name, said in asked.items():
        if name in ("$and", "$or"):
            parts = [holds(part, kept) for part in said]
            if not (all(parts) if name == "$and" else any(parts)):
                return False
        elif not all(_compared(operator, kept.get(name), value) for operator, value in said.items()):
            return False
    return True


def _compared(operator: str, kept: Any, value: Any) -> bool:
    several = [_told(each) for each in (kept if isinstance(kept, list) else [] if kept is None else [kept])]
    wanted = [_told(each) for each in value] if isinstance(value, list) else [_told(value)]
    match operator:
        case "$exists":
            return bool(several) is value
        case "$eq" | "$in":
            return any(each in several for each in wanted)
        case "$ne" | "$nin":
            return not any(each in several for each in wanted)
    bound = wanted[0][1]
    return any(
        kind == "number" and {"$lt": each < bound, "$lte": each <= bound, "$gt": each > bound, "$gte": each >= bound}[operator]
        for kind, each in several
        if kind == "number"
    )


def _told(value: Any) -> tuple[str, Any]:
    """Numbers are 64-bit floats there, and true is no number."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "number", float(value)
    return type(value).__name__, value
