"""Whose datasets, suites and runs are: their maker's, and of the whole tenant for who manages evaluations.

A key that is not for all collections, or may not search, sees nothing that holds what collections say.
"""

from sqlalchemy import ColumnElement
from sqlmodel import and_, col

from core.principals import Principal, Scope
from core.tables import EvalDataset, EvalRun, EvalSuite


def theirs(table: type[EvalDataset | EvalRun | EvalSuite], principal: Principal) -> ColumnElement[bool]:
    """The condition of a row that they may see and change."""
    conditions = [col(table.tenant) == principal.tenant]
    if not principal.may(Scope.EVALS_MANAGE):
        conditions.append(col(table.owner) == principal.id)
    if issubclass(table, (EvalDataset, EvalRun)) and not reads_all(principal):
        conditions.append(col(table.from_collections).is_(False))
    return and_(*conditions)


def reads_all(principal: Principal) -> bool:
    """Whether they may see what any collection says that they reach."""
    return principal.may_search and principal.collections is None
