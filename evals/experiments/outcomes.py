"""What the units of an experiment came to: one value for each unit and metric, since units are what was assigned.

A request's calls under the experiment are one: their cost, time and tokens are added up. It has an error where its caller was
told one, be it that it was refused before any call, and says nothing of errors where the caller hung up. Where it is not known
how a request ended, its calls say it: it has an error where none of them gave an answer. One without an answer has no latency,
since how soon it failed says nothing of how fast answers are, and no cost or tokens but those that it took all the same. A unit
has the mean of its requests, and no cost where the price of any of its answers is not known.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from statistics import fmean
from typing import Any, Final

from sqlalchemy import ColumnElement, Float, Integer, Select, and_, case, func, literal, null, select, type_coerce, union_all

from core.database import SECRET, Database
from core.keys import Hasher
from core.tables import Experiment, Exposure, Feedback, LedgerRow, RequestOutcome
from providers.accounting import CANCELLED, OK
from providers.experiment_definition import SCORE, TAG, Definition
from providers.experiments import Units, whole_unit

#: How far back a unit is known from before the start.
BEFORE: Final = timedelta(days=14)
_TABLE: Any = LedgerRow.__table__  # type: ignore[attr-defined]  # SQLModel does not declare it
_LEDGER: Any = _TABLE.c
_ENDED: Any = RequestOutcome.__table__  # type: ignore[attr-defined]
_EXPOSURE: Any = Exposure.__table__.c  # type: ignore[attr-defined]
_FEEDBACK: Any = Feedback.__table__.c  # type: ignore[attr-defined]
_OF_REQUEST: Final = ("cost_usd", "latency_ms", "first_token_ms", "error", "tokens")
#: Whether it has a call whose price is not known.
_UNPRICED: Final = "unpriced"
#: Of dollars as SQLite keeps them.
_SQLITE_DOLLARS: Final = 1e-12

Values = dict[str, float]
Key = tuple[Any, ...]


@dataclass(slots=True)
class Unit:
    """`values` and `before`, from before the start, by metric; what is missing was not measured."""

    variant: int
    first_at: datetime
    requests: int = 0
    values: Values = field(default_factory=dict)
    before: Values = field(default_factory=dict)


class Outcomes:
    """Reads what an experiment's units came to."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def counts(self, experiment: Experiment) -> list[int]:
        """How many units each variant has."""
        query = select(_EXPOSURE.variant, func.count()).where(_EXPOSURE.experiment_id == experiment.id)
        found = {row[0]: row[1] for row in await self._rows(query.group_by(_EXPOSURE.variant))}
        return [found.get(place, 0) for place in range(len(experiment.definition["variants"]))]

    async def units(self, experiment: Experiment) -> dict[str, Unit]:
        """The units, by the names that they are kept under."""
        query = select(_EXPOSURE.id, _EXPOSURE.unit, _EXPOSURE.variant, _EXPOSURE.first_at)
        rows = await self._rows(query.where(_EXPOSURE.experiment_id == experiment.id))
        units = {row.unit: Unit(row.variant, row.first_at) for row in rows}
        of = {row.id: units[row.unit] for row in rows}
        joined = _TABLE.join(Exposure.__table__, _LEDGER.exposure == _EXPOSURE.id)  # type: ignore[attr-defined]
        asked = joined, [_LEDGER.exposure], _EXPOSURE.experiment_id == experiment.id
        for (exposure,), requests, values in await self._usage(*asked, ended=_ends_of(experiment)):
            of[exposure].requests, of[exposure].values = requests, values
        for (exposure,), values in (await self._judged(*asked)).items():
            of[exposure].values |= values
        if experiment.started_at is not None:
            for name, values in (await self._before(experiment, experiment.started_at)).items():
                if name in units:
                    units[name].before = values
        return units

    async def _before(self, experiment: Experiment, start: datetime) -> dict[str, Values]:
        """What units did with the alias before the start, by their kept names."""
        unit = Definition.model_validate(experiment.definition).unit
        keys = _keys_of(unit)
        then = [_LEDGER.alias == experiment.alias, _LEDGER.at >= start - BEFORE, _LEDGER.at < start]
        then += [key.is_not(None) for key in keys]
        if not experiment.everywhere:
            then.append(_LEDGER.tenant == experiment.tenant)
        async with self._database.session(all_tenants=True) as session:
            units = Units(Hasher(session.info[SECRET]()))

        def name(key: Key) -> str:
            return units.name(experiment.id, whole_unit(unit, str(key[0]), str(key[-1])))

        found: dict[str, Values] = {name(key): values for key, _, values in await self._usage(_TABLE, keys, and_(*then))}
        for key, values in (await self._judged(_TABLE, keys, and_(*then))).items():
            found.setdefault(name(key), {}).update(values)
        return found

    async def _usage(
        self, source: Any, keys: Sequence[Any], condition: ColumnElement[bool], ended: Select[Any] | None = None
    ) -> list[tuple[Key, int, Values]]:
        """By key: how many requests, and the mean of what the ledger tells of each. `ended` tells how they ended, those among
        them that came to no call."""
        hung_up = func.min(case((_LEDGER.status == CANCELLED, 1), else_=0)) == 1
        answered = func.max(case((_LEDGER.status == OK, 1), else_=0))
        made = _LEDGER.input_tokens + _LEDGER.cached_tokens + _LEDGER.cache_write_tokens + _LEDGER.cache_write_1h_tokens
        tokens, cost = func.sum(made + _LEDGER.output_tokens), func.sum(_LEDGER.cost_usd)
        called = (
            select(
                *_named(keys),
                _LEDGER.tenant.label("tenant"),
                _LEDGER.request_id.label("request_id"),
                case(((answered == 1) | (cost > Decimal(0)), cost)).label("cost_usd"),
                case((answered == 1, func.sum(_LEDGER.latency_ms))).label("latency_ms"),
                func.min(case((_LEDGER.status == OK, _LEDGER.first_token_ms))).label("first_token_ms"),
                case((hung_up, None), else_=1 - answered).label("error"),
                case(((answered == 1) | (tokens > 0), tokens)).label("tokens"),
                case((func.count(_LEDGER.cost_usd) < func.count(), 1), else_=0).label(_UNPRICED),
                literal(None, Integer).label("told"),
            )
            .select_from(source)
            .where(condition)
            .group_by(*keys, _LEDGER.tenant, _LEDGER.request_id)
        )
        request = (called if ended is None else _with_ends(called, ended, len(keys))).subquery("request")
        groups = [request.c[f"key_{place}"] for place in range(len(keys))]
        means: dict[str, ColumnElement[Any]] = {name: type_coerce(func.avg(request.c[name]), Float) for name in _OF_REQUEST}
        means["cost_usd"] = case((func.max(request.c[_UNPRICED]) == 0, means["cost_usd"]))
        dollars = _SQLITE_DOLLARS if self._database.is_sqlite else 1.0
        found = []
        columns = [*groups, func.count().label("requests"), *(mean.label(name) for name, mean in means.items())]
        for row in await self._rows(select(*columns).group_by(*groups)):
            values = {name: float(getattr(row, name)) for name in _OF_REQUEST if getattr(row, name) is not None}
            if "cost_usd" in values:
                values["cost_usd"] *= dollars
            found.append((tuple(row[: len(keys)]), row.requests, values))
        return found

    async def _judged(self, source: Any, keys: Sequence[Any], condition: ColumnElement[bool]) -> dict[Key, Values]:
        """By key: the mean of what was said of each request, of which every principal's word counts as much."""
        request = (
            select(*_named(keys), _LEDGER.tenant.label("tenant"), _LEDGER.request_id.label("request_id"))
            .select_from(source)
            .where(condition)
            .distinct()
            .subquery("request")
        )
        said = (_FEEDBACK.tenant == request.c.tenant) & (_FEEDBACK.request_id == request.c.request_id)
        query = select(request, _FEEDBACK.score, _FEEDBACK.scores).join_from(request, Feedback.__table__, said)  # type: ignore[attr-defined]
        words: dict[tuple[Key, Key, str], list[float]] = defaultdict(list)
        for row in await self._rows(query):
            key, of = tuple(row[: len(keys)]), (row.tenant, row.request_id)
            if row.score is not None:
                words[key, of, "feedback"].append(row.score)
            for name, score in (row.scores or {}).items():
                words[key, of, f"{SCORE}{name}"].append(float(score))
        requests: dict[tuple[Key, str], list[float]] = defaultdict(list)
        for (key, _, metric), scores in words.items():
            requests[key, metric].append(fmean(scores))
        found: dict[Key, Values] = defaultdict(dict)
        for (key, metric), means in requests.items():
            found[key][metric] = fmean(means)
        return found

    async def _rows(self, query: Select[Any]) -> Sequence[Any]:
        async with self._database.session(all_tenants=True) as session:
            rows: Sequence[Any] = (await (await session.connection()).execute(query)).all()
            return rows


def _ends_of(experiment: Experiment) -> Select[Any]:
    """How the requests of an experiment ended, in the columns of what their calls came to."""
    told = case((_ENDED.c.status == CANCELLED, None), (_ENDED.c.status == OK, 0), else_=1)
    nothing: list[Any] = [null().label(name) for name in _OF_REQUEST]
    nothing.append(literal(0, Integer).label(_UNPRICED))
    of_request = _ENDED.c.exposure.label("key_0"), _ENDED.c.tenant, _ENDED.c.request_id
    joined = _ENDED.join(Exposure.__table__, _ENDED.c.exposure == _EXPOSURE.id)  # type: ignore[attr-defined]
    query = select(*of_request, *nothing, told.label("told")).select_from(joined)
    return query.where(_EXPOSURE.experiment_id == experiment.id)


def _with_ends(called: Select[Any], ended: Select[Any], n_keys: int) -> Select[Any]:
    """Requests with what their calls came to, and whether their callers were told an error, where that is known."""
    both = union_all(called, ended).subquery("both")
    of_request = [*(both.c[f"key_{place}"] for place in range(n_keys)), both.c.tenant, both.c.request_id]
    whole = [func.max(both.c[name]).label(name) for name in (*_OF_REQUEST, _UNPRICED) if name != "error"]
    error = func.coalesce(func.max(both.c.told), func.max(both.c.error)).label("error")
    return select(*of_request, *whole, error).group_by(*of_request)


def _named(keys: Sequence[Any]) -> list[Any]:
    return [key.label(f"key_{place}") for place, key in enumerate(keys)]


def _keys_of(unit: str) -> list[Any]:
    """Columns of the ledger that tell units apart: the tenant first, what they are called last."""
    if unit == "tenant":
        return [_LEDGER.tenant]
    if unit.startswith(TAG):
        return [_LEDGER.tenant, _LEDGER.tags[unit.removeprefix(TAG)].as_string()]
    return [_LEDGER.tenant, _LEDGER.principal if unit == "user" else _LEDGER.session_id]
