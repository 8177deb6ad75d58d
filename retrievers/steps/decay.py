"""Time decay: a part of a passage's score goes by the age of what it says."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sqlmodel import col, func, select

from core.database import Database, utc_now
from core.tables import Document
from retrievers.base import Passage
from retrievers.steps.settings import TimeDecay
from retrievers.steps.step import Retrieved, Step

_DAY_S = 86_400.0
_YEAR = re.compile(r"\d{4}")


class TimeDecayStep(Step):
    """Multiplies scores by `1 - weight + weight * 0.5 ** (age / half-life)`, and orders the passages anew."""

    step = "time_decay"

    def __init__(self, settings: TimeDecay, database: Database) -> None:
        self._settings, self._database = settings, database

    async def take(self, found: Retrieved) -> Sequence[Passage]:
        came_in = await self._came_in(found)
        now = utc_now()
        aged = [
            replace(passage, score=passage.score * self._left(_moment(passage, self._settings.attribute, came_in), now))
            for passage in found.passages
        ]
        return sorted(aged, key=lambda passage: -passage.score)  # stable: equal ones keep their order

    def _left(self, moment: datetime | None, now: datetime) -> float:
        """What is left of a score. What has no date counts as new: it may hold for ever."""
        if moment is None:
            return 1.0
        age_days = max(0.0, (now - moment).total_seconds() / _DAY_S)
        halves = age_days / self._settings.half_life_days
        return 1 - self._settings.weight + self._settings.weight * math.pow(0.5, halves)

    async def _came_in(self, found: Retrieved) -> Mapping[str, datetime]:
        ids = sorted({passage.chunk.document_id for passage in found.passages})
        async with self._database.session(found.shelf.tenant) as session:
            rows = await session.exec(
                select(Document.id, func.coalesce(Document.content_at, Document.updated_at)).where(
                    Document.collection_id == found.shelf.collection_id, col(Document.id).in_(ids)
                )
            )
            return dict(rows.all())


def _moment(passage: Passage, attribute: str | None, came_in: Mapping[str, datetime]) -> datetime | None:
    named = None if attribute is None else moment_of(passage.chunk.attributes.get(attribute))
    return named or came_in.get(passage.chunk.document_id)


def moment_of(value: Any) -> datetime | None:
    """The moment that an attribute's value names: an ISO 8601 date or time (UTC where it says no zone), or a year; None for
    what names none."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    text = str(value).strip()
    try:
        moment = datetime(int(text), 1, 1, tzinfo=UTC) if _YEAR.fullmatch(text) else datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
