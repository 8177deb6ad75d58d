"""Whose datasets, suites and runs are: their maker's, and of the whole tenant for who manages evaluations."""

from sqlalchemy import ColumnElement
from sqlmodel import and_, col, true

from core.principals import Principal, Scope
from core.tables import EvalDataset, EvalRun, EvalSuite


def theirs(table: type[EvalDataset | EvalRun | EvalSuite], principal: Principal) -> ColumnElement[bool]:
    """The condition of a row that they may see and change."""
    owned = true() if principal.may(Scope.EVALS_MANAGE) else col(table.owner) == principal.id
    return and_(col(table.tenant) == principal.tenant, owned)
