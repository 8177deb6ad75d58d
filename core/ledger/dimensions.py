"""What usage can be told apart by, and how that is asked of the database."""

from collections.abc import Callable, Sequence
from typing import Any
from typing import cast as typed

from sqlalchemy import ColumnElement, FromClause, String, case, cast, exists, false, func, literal, null, or_

from core.errors import InvalidRequest
from core.ledger.centres import Held
from core.ledger.owners import is_keys, is_teams, is_users
from core.tables import CostCentreRule, Team

#: Columns of the ledger.
PLAIN = (
    *("alias", "version", "provider", "model", "capability", "principal", "key_id", "session_id", "status", "cache"),
    "price_basis",
)
GRAINS = ("hour", "day", "week", "month")
TAG = "tag:"
#: Made up of others. What a principal of several teams does counts in each of them: those that they were in at the time; of
#: entries that do not know these, those that they are in now.
TEAM, CENTRE, TENANT = "team", "cost_centre", "tenant"
_ON_SQLITE = {"hour": ("%Y-%m-%dT%H:00:00Z",), "day": ("%Y-%m-%d",), "month": ("%Y-%m",)}
_ON_POSTGRESQL = {"hour": 'YYYY-MM-DD"T"HH24:00:00"Z"', "day": "YYYY-MM-DD", "week": "YYYY-MM-DD", "month": "YYYY-MM"}
_TEAM: Any = Team.__table__.c  # type: ignore[attr-defined]
#: Most characters of a tag's name, as `x-genai-tags` takes them.
_TAG_NAME = 64


class Dimensions:
    """The dimensions over some facts. `centres` say whose cost centre is which (`core.ledger.centres`); `across`: of several
    tenants, which can then be told apart as well. `sessions_of`: the principal whose sessions' names are told; None is all."""

    def __init__(
        self,
        source: Any,
        *,
        sqlite: bool,
        centres: Sequence[Held] = (),
        across: bool = False,
        sessions_of: str | None = None,
    ) -> None:
        self._source, self._sqlite, self._centres, self._across = source, sqlite, centres, across
        self._sessions_of = sessions_of
        self.row = source.c

    def joined(self, names: Sequence[str]) -> FromClause:
        """Where to select from, so that these can be asked for."""
        if TEAM not in names:
            return typed("FromClause", self._source)
        teams = Team.__table__  # type: ignore[attr-defined]
        return typed("FromClause", self._source.outerjoin(teams, (_TEAM.tenant == self.row.tenant) & self._is_of(_TEAM.id)))

    def _is_of(self, team: Any) -> ColumnElement[bool]:
        """The condition of what was used being a team's."""
        return is_teams(self.row, team)

    def of(self, name: str, param: str = "group_by") -> ColumnElement[Any]:
        """The expression of a dimension.

        Raises:
            InvalidRequest: `invalid_dimension`, there is none of this name.
        """
        if name == "session_id" and self._sessions_of is not None:
            return case((self.row.principal == self._sessions_of, self.row.session_id), else_=None)
        if name in PLAIN:
            return typed("ColumnElement[Any]", self.row[name])
        if name in GRAINS:
            return self._grain(name)
        if name.startswith(TAG) and len(TAG) < len(name) <= len(TAG) + _TAG_NAME:
            return typed("ColumnElement[Any]", self.row.tags[name.removeprefix(TAG)].as_string())
        made: dict[str, Callable[[], ColumnElement[Any]]] = {TEAM: lambda: _TEAM.id, CENTRE: self._centre}
        if self._across:
            made[TENANT] = lambda: self.row.tenant
        if name in made:
            return made[name]()
        known = ", ".join((*PLAIN, *GRAINS, *made, "tag:NAME"))
        raise InvalidRequest(f"There is no dimension of this name; there are {known}.", code="invalid_dimension", param=param)

    def is_one_of(self, name: str, values: Sequence[str]) -> ColumnElement[bool]:
        """The condition of a dimension having one of the values; the empty text stands for none.

        Raises:
            InvalidRequest: `invalid_dimension`.
        """
        given = [value for value in values if value]
        if name == TEAM:
            of_some = exists().where(_TEAM.tenant == self.row.tenant, self._is_of(_TEAM.id))
            named = [self._is_of(literal(value)) for value in given]
            return or_(*named, ~of_some) if len(given) < len(values) else or_(*named)
        column = self.of(name, "only")
        found = column.in_(given)
        return found if len(given) == len(values) else found | column.is_(None)

    def _grain(self, name: str) -> ColumnElement[Any]:
        at = self.row.at
        if self._sqlite:
            steps = ("%Y-%m-%d", at, "weekday 0", "-6 days") if name == "week" else (*_ON_SQLITE[name], at)
            return func.strftime(*steps)
        at = func.timezone("UTC", at)
        return func.to_char(func.date_trunc("week", at) if name == "week" else at, _ON_POSTGRESQL[name])

    def _centre(self) -> ColumnElement[Any]:
        """The first rule that fits says it."""
        rules = [(self._fits(held.rule) & self._holds(held), literal(held.rule.centre)) for held in self._centres]
        return case(*rules, else_=None) if rules else cast(null(), String)

    def _holds(self, held: Held) -> ColumnElement[bool]:
        """The condition of a rule holding for the time of what was used."""
        locked = [(self.row.used_at >= begin) & (self.row.used_at < end) for begin, end in held.otherwise]
        return or_(false(), *locked) if held.rule.removed_at else ~or_(false(), *locked)

    def _fits(self, rule: CostCentreRule) -> ColumnElement[bool]:
        if rule.kind == "team":
            fits: Any = self._is_of(literal(rule.value))
        elif rule.kind == "tag":
            fits = self.row.tags[rule.name].as_string() == rule.value
        else:
            fits = {"key": is_keys, "user": is_users}[rule.kind](self.row, rule.value)
        return typed("ColumnElement[bool]", fits & (self.row.tenant == rule.tenant) if self._across else fits)
