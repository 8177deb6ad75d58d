"""Cursor pagination, the same on every list.

A service returns its rows with the position that the next page starts after (a string of its own making, None at the end);
callers see it as an opaque cursor.
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Query
from sqlalchemy import ColumnElement
from sqlmodel import SQLModel, select

from core.database import Database
from core.errors import InvalidRequest

T = TypeVar("T")
Row = TypeVar("Row", bound=SQLModel)

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
_MAX_CURSOR = 2000


@dataclass(frozen=True, slots=True)
class PageRequest:
    """`limit` rows after the position `after`; None starts at the beginning."""

    limit: int = DEFAULT_LIMIT
    after: str | None = None


def page_request(
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="rows of a page")] = DEFAULT_LIMIT,
    cursor: Annotated[str | None, Query(max_length=_MAX_CURSOR, description="`next_cursor` of the page before")] = None,
) -> PageRequest:
    """Read `limit` and `cursor` from the query.

    Raises:
        InvalidRequest: `invalid_cursor`, the cursor is not one that a list gave.
    """
    return PageRequest(limit, decode_cursor(cursor) if cursor else None)


Paging = Annotated[PageRequest, Depends(page_request)]


def part_request(
    limit: Annotated[int | None, Query(ge=1, le=MAX_LIMIT, description="rows of a page; empty: all that there are")] = None,
    cursor: Annotated[str | None, Query(max_length=_MAX_CURSOR, description="`next_cursor` of the page before")] = None,
) -> PageRequest | None:
    """The same for a list that is told whole unless a limit asks for pages. Raises as `page_request` does."""
    return page_request(DEFAULT_LIMIT if limit is None else limit, cursor) if limit is not None or cursor else None


PagingWhereAsked = Annotated[PageRequest | None, Depends(part_request)]


def page(rows: Sequence[Any], next_position: str | None) -> dict[str, Any]:
    """A page's body: `{"results": […], "next_cursor": str or null}`."""
    return {"results": list(rows), "next_cursor": encode_cursor(next_position) if next_position is not None else None}


def page_of(rows: Sequence[T], paging: PageRequest, position: Callable[[T], str]) -> dict[str, Any]:
    """A page of a list that is short enough to be read whole, in its own order. `position` names a row for good: a page begins
    behind the one that the cursor names, and is empty where that is gone."""
    begin = 0
    if paging.after is not None:
        begin = next((number + 1 for number, row in enumerate(rows) if position(row) == paging.after), len(rows))
    shown = rows[begin : begin + paging.limit]
    return page(shown, position(shown[-1]) if begin + paging.limit < len(rows) else None)


async def page_of_table(
    database: Database,
    tenant: str | None,
    table: type[Row],
    paging: PageRequest,
    shown: Callable[[Row], Any],
    *,
    newest: str | None = None,
    only: Sequence[ColumnElement[bool]] = (),
) -> dict[str, Any]:
    """A page of the tenant's rows of a table, of all tenants' for None, that the conditions `only` hold for, by their
    identifiers; or the other way round by the column `newest`, which no two rows have alike."""
    position = getattr(table, newest or "id")
    query = select(table).where(*only).order_by(position.desc() if newest else position).limit(paging.limit + 1)
    if paging.after is not None:
        query = query.where(position < paging.after if newest else position > paging.after)
    async with database.session(tenant, all_tenants=tenant is None) as session:
        rows = (await session.exec(query)).all()
    kept = rows[: paging.limit]
    return page([shown(row) for row in kept], getattr(kept[-1], position.key) if len(rows) > paging.limit else None)


def encode_cursor(position: str) -> str:
    """The cursor that stands for a position."""
    return base64.urlsafe_b64encode(position.encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> str:
    """Raises InvalidRequest (`invalid_cursor`) for anything that `encode_cursor` has not made."""
    try:
        position = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        position = "\0"
    if "\0" in position:
        raise InvalidRequest("The cursor is not one that this list gave.", code="invalid_cursor", param="cursor")
    return position
