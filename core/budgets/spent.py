"""What a budget has spent so far by the ledger, for a counter that has to be made."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Engine, Integer, cast, func, literal, select

from core.budgets.rules import Rule, units
from core.budgets.windows import Buckets
from core.ledger.owners import is_keys, is_teams, is_users
from core.money import Money
from core.tables import LedgerRow

_ROW: Any = LedgerRow.__table__.c  # type: ignore[attr-defined]
#: The classes of tokens that add up to all of them.
_COUNTED = ("input", "cached", "cache_write", "cache_write_1h", "output")


def spent(engine: Engine, rule: Rule, now: datetime, since: datetime | None = None) -> Mapping[int, int]:
    """Units by the bucket that they were spent in, of the window that `now` lies in, before `now`; `since` a moment, where it
    is given. Blocking."""
    buckets, begin = rule.window.buckets(now), rule.window.begin(now)
    begin = begin if since is None else max(begin, since)
    bucket = _bucket(buckets, sqlite=engine.dialect.name == "sqlite")
    tokens = sum((_ROW[f"{name}_tokens"] for name in _COUNTED), start=literal(0))
    query = select(
        bucket.label("bucket"),
        func.sum(_ROW.cost_usd, type_=Money).label("usd"),
        func.sum(tokens, type_=Integer).label("tokens"),
    ).where(_ROW.tenant == rule.tenant, _ROW.at >= begin, _ROW.at < now, _ROW.cache.is_(None), *_conditions(rule))
    with engine.connect() as connection:
        rows = connection.execute(query.group_by(bucket)).all()
    return {row.bucket: units(row.usd or Decimal(0)) if rule.in_usd else row.tokens or 0 for row in rows}


def _bucket(buckets: Buckets, *, sqlite: bool) -> ColumnElement[Any]:
    if buckets.newest == buckets.oldest:
        return cast(buckets.newest, Integer)
    seconds = func.strftime("%s", _ROW.at) if sqlite else func.floor(func.extract("epoch", _ROW.at))
    return cast(seconds, Integer) // buckets.step * buckets.step


def _conditions(rule: Rule) -> list[ColumnElement[bool]]:
    owners = ((is_teams, rule.team), (is_users, rule.user), (is_keys, rule.key))
    conditions = [is_one_s(_ROW, value) for is_one_s, value in owners if value is not None]
    return conditions if rule.alias is None else [*conditions, _ROW.alias == rule.alias]
