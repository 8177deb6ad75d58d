"""The audit log of the caller's tenant: searched, exported, verified."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field
from sqlalchemy import Connection
from starlette.responses import Response, StreamingResponse

from core import audit
from core.audit import search
from core.audit.stream import as_line
from core.audit.verification import Finding, snapshot, verify
from core.audit.witness import Witness
from core.database import SECRET
from core.errors import InvalidRequest
from core.keys import Hasher
from core.moments import Moment
from core.principals import Principal, Scope
from core.shown_names import shown
from core.tables import AuditEvent
from server.auth import requires
from server.pagination import Paging, page
from server.state import CurrentState, State

router = APIRouter(prefix="/api/v1/audit", tags=["Audit"])

Auditor = Annotated[Principal, requires(Scope.AUDIT_READ)]
NDJSON = "application/x-ndjson"


class EventInfo(BaseModel):
    """An event on record."""

    number: int = Field(description="its place in the tenant's chain, from 1")
    at: datetime
    action: str = Field(description="what was done, as `key.revoked`; docs/audit.md lists them")
    outcome: str = Field(description="`success`, `failure` or `denied`")
    actor: str = Field(description="who did it: the identifier of a user, service account or key; `anonymous`, `system`")
    key_id: str | None = Field(description="the key that was shown")
    object_type: str | None
    object_id: str | None
    address: str | None = Field(description="where the request came from")
    request_id: str | None
    details: dict[str, Any]
    hash: str = Field(description="over this event and the hash of the one before it")

    @classmethod
    def of(cls, row: AuditEvent) -> "EventInfo":
        return cls.model_validate(row, from_attributes=True)


class EventPage(BaseModel):
    """Some of the events."""

    results: list[EventInfo]
    next_cursor: str | None


class Verification(BaseModel):
    """Whether the tenant's chain is as it was written."""

    valid: bool
    events: int = Field(description="events that are as they were written, from the first one on")
    hash: str = Field(description="of the last of them; kept elsewhere, it is an anchor")
    broken_at: int | None = Field(description="the number of the first event that is not")
    reason: str | None


#: All that a search may say: what is asked for, and how it is given.
_FILTERS = frozenset({"action", "outcome", "actor", "object_type", "object", "address", "request_id", "from", "to"}) | {
    "limit",
    "cursor",
    "format",
}


def asked(
    request: Request,
    action: Annotated[audit.Action | None, Query(description="as `key.revoked`")] = None,
    outcome: Annotated[audit.Outcome | None, Query()] = None,
    actor: Annotated[str | None, Query(max_length=64)] = None,
    object_type: Annotated[str | None, Query(max_length=64, description="as `key`")] = None,
    object_id: Annotated[str | None, Query(alias="object", max_length=200, description="its identifier")] = None,
    address: Annotated[str | None, Query(max_length=64, description="where the request came from")] = None,
    request_id: Annotated[str | None, Query(max_length=64, description="the request's, as `x-request-id` has it")] = None,
    since: Annotated[Moment | None, Query(alias="from", description="not before")] = None,
    until: Annotated[Moment | None, Query(alias="to", description="before")] = None,
) -> search.Filter:
    """Read the filter from the query.

    Raises:
        InvalidRequest: text that no event can hold; `unknown_filter`: a name that asks for nothing, so that more would be found
            than was asked for.
    """
    if unknown := request.query_params.keys() - _FILTERS:
        known = ", ".join(sorted(_FILTERS))
        raise InvalidRequest(f"There is no such filter; there are {known}.", code="unknown_filter", param=shown(min(unknown)))
    if any("\0" in (text or "") for text in (actor, object_type, object_id, address, request_id)):
        raise InvalidRequest("A filter holds a character that no event has.", param="actor")
    return search.Filter(
        action, outcome, actor, object_type, object_id, address=address, request_id=request_id, since=since, until=until
    )


Wanted = Annotated[search.Filter, Depends(asked)]


@router.get("", response_model=EventPage)
async def list_events(state: CurrentState, principal: Auditor, wanted: Wanted, paging: Paging) -> dict[str, object]:
    """Find events, the newest first."""
    before = _number(paging.after)
    rows, following = await search.page(state.database, principal.tenant, wanted, limit=paging.limit, before=before)
    return page([EventInfo.of(row) for row in rows], None if following is None else str(following))


@router.get("/export", response_class=Response, responses={200: {"content": {NDJSON: {"schema": {"type": "string"}}}}})
async def export_events(
    state: CurrentState,
    principal: Auditor,
    wanted: Wanted,
    _form: Annotated[Literal["ndjson"], Query(alias="format", description="there is no other")] = "ndjson",
) -> Response:
    """Export events, the oldest first: a line of JSON each, with the field names of the Elastic Common Schema."""
    async with state.database.transaction(principal.tenant) as session:
        await audit.record(session, audit.Action.AUDIT_EXPORTED, principal=principal)
    headers = {"content-disposition": 'attachment; filename="audit.ndjson"'}
    return StreamingResponse(_lines(state, principal.tenant, wanted), media_type=NDJSON, headers=headers)


@router.get("/verify")
async def verify_events(state: CurrentState, principal: Auditor) -> Verification:
    """Verify the chain: no event edited, removed, or put elsewhere. Reads all of it."""

    def found(connection: Connection, hasher: Hasher) -> Finding:
        snapshot(connection)
        return verify(connection, hasher, principal.tenant, Witness(state.settings, hasher).anchors())

    async with state.database.session(principal.tenant) as session:
        connection = await session.connection()
        finding = await connection.run_sync(found, Hasher(session.info[SECRET]()))
    return Verification(
        valid=finding.broken is None,
        events=finding.events,
        hash=finding.hash,
        broken_at=finding.broken.number if finding.broken else None,
        reason=finding.broken.reason if finding.broken else None,
    )


async def _lines(state: State, tenant: str, wanted: search.Filter) -> AsyncIterator[bytes]:
    async for row in search.each(state.database, tenant, wanted):
        yield as_line(row)


def _number(position: str | None) -> int | None:
    if position is None:
        return None
    if not position.isascii() or not position.isdigit() or len(position) > 18:
        raise InvalidRequest("The cursor is not one that this list gave.", code="invalid_cursor", param="cursor")
    return int(position)
