"""What is thought of answers, as points of the series that gave them: feedback, and the scores of metrics.

An opinion counts when it comes, which may be long after its answer: what was seen is not seen again.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import select

from core.database import Database
from core.jobs import EVALUATION
from core.tables import Feedback, LedgerRow, MonitorGrade
from evals.monitors.points import Named, Point, Sums, floor_of, together
from providers.accounting import OK

_ROW: Any = LedgerRow.__table__.c  # type: ignore[attr-defined]
_SAID: Any = Feedback.__table__.c  # type: ignore[attr-defined]
_GRADE: Any = MonitorGrade.__table__.c  # type: ignore[attr-defined]


async def points_of_opinions(database: Database, since: datetime, until: datetime, seconds: int) -> list[Point]:
    """What was said from `since` on and before `until`, in the order of time. Of a request with several calls it is said of the
    last good one: before it comes what that answer stands on."""
    theirs = (_ROW.tenant == _SAID.tenant) & (_ROW.request_id == _SAID.request_id)
    answered = (_ROW.status == OK, _ROW.cache.is_(None), _ROW.capability != EVALUATION)
    said = (
        select(_SAID.id, _SAID.created_at, _SAID.score, _SAID.tenant, *(_ROW[name] for name in Named._fields))
        .join_from(Feedback.__table__, LedgerRow.__table__, theirs)  # type: ignore[attr-defined]
        .where(_SAID.created_at >= since, _SAID.created_at < until, _SAID.score.is_not(None), *answered)
        .order_by(_ROW.at)
    )
    graded = select(_GRADE.at, _GRADE.value, _GRADE.tenant, *(_GRADE[name] for name in Named._fields))
    graded = graded.where(_GRADE.at >= since, _GRADE.at < until, _GRADE.value.is_not(None))
    async with database.session(all_tenants=True) as session:
        connection = await session.connection()
        judged = {row.id: row for row in (await connection.execute(said)).all()}
        scores = (await connection.execute(graded)).all()
    points = [_point(row, row.created_at, seconds, Sums(judged=1, liking=row.score)) for row in judged.values()]
    points += [_point(row, row.at, seconds, Sums(graded=1, score=row.value)) for row in scores]
    return together(points)


def _point(row: Any, at: datetime, seconds: int, sums: Sums) -> Point:
    named = Named(row.alias, row.provider, row.model, row.version or "")
    return Point(floor_of(at, seconds), row.tenant, named, sums)
