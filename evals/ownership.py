"""Whose datasets, suites and runs are: their maker's, and of the whole tenant for who manages evaluations.

A key that is not for all collections, or may not search, sees nothing that holds what collections say.
"""

from sqlalchemy import ColumnElement
from sqlmodel import and_, col, not_, true

from core.principals import Principal, Scope
from core.tables import EvalDataset, EvalRun, EvalSuite


def theirs(table: type[EvalDataset | EvalRun | EvalSuite], principal: Principal) -> ColumnElement[bool]:
    """The condition of a row that they may see and change."""
    owned = true() if principal.may(Scope.EVALS_MANAGE) else col(table.owner) == principal.id
    readable = true()
    if table is not EvalSuite and not (principal.may_search and principal.collections is None):
        readable = not_(col(table.from_collections))
    return and_(col(table.tenant) == principal.tenant, owned, readable)
