"""The front page: what is running, and how to use it."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Request
from sqlmodel import col, func, select
from starlette.responses import FileResponse, Response

from core.jobs import seen_by
from core.principals import Principal, Scope
from core.tables import Collection, Document, DocumentState, Job
from retrievers.sharing import visible_to
from server.auth import current_principal, request_context
from server.pages import STATIC, render
from server.pages.examples import capabilities
from server.pages.judging import judges
from server.pages.menu import menu_of
from server.state import CurrentState, State
from server.version import platform_version

router = APIRouter(include_in_schema=False)

_SHOWN_COLLECTIONS = 200


@router.get("/")
async def front(request: Request, state: CurrentState, principal: Annotated[Principal, current_principal]) -> Response:
    """The page."""
    values = {
        "principal": principal,
        "menu": menu_of(principal),
        "judges": judges(request_context(request), state.models.policies),
        "may_see_health": principal.may(Scope.HEALTH_READ),
        "may_see_jobs": principal.may(Scope.JOBS_READ),
        "may_ask": principal.may(Scope.RAG_READ),
        "may_write": principal.may(Scope.RAG_WRITE),
        "may_manage_keys": principal.may(Scope.KEYS_MANAGE),
        "version": platform_version(),
        "base_url": state.settings.base_url,
        "parts": _parts(state),
        "models": state.models.states(),
        "capabilities": await asyncio.to_thread(capabilities, state.settings.base_url),
        "limits": state.settings.limits,
        **await _counts(state, principal),
    }
    return render(request, "front.html", values)


@router.get("/favicon.ico")
async def icon() -> Response:
    """The icon, for browsers that ask for it by its old name."""
    return FileResponse(STATIC / "icon.svg", media_type="image/svg+xml", headers={"cache-control": "max-age=86400"})


def _parts(state: State) -> list[dict[str, str]]:
    """What the platform stands on, by name; how it does comes from the health route."""
    settings = state.settings
    return [
        {"key": "database", "label": "Database", "value": "SQLite" if state.database.is_sqlite else "PostgreSQL"},
        {"key": "broker", "label": "Broker", "value": "Redis" if settings.redis_url else "Valkey, embedded"},
        {"key": "store", "label": "Vector store", "value": settings.retrieval.store.capitalize()},
    ]


async def _counts(state: State, principal: Principal) -> dict[str, Any]:
    """Collections with their ready documents, and jobs by state."""
    ready = func.count(col(Document.id)).filter(col(Document.state) == DocumentState.READY.value)
    collections = (
        select(Collection.name, Collection.description, ready)
        .join(Document, col(Document.collection_id) == col(Collection.id), isouter=True)
        .where(Collection.tenant == principal.tenant, col(Collection.deleted_at).is_(None), visible_to(principal))
        .group_by(col(Collection.id), col(Collection.name), col(Collection.description))
        .order_by(Collection.name)
        .limit(_SHOWN_COLLECTIONS)
    )
    jobs = select(Job.state, func.count()).where(Job.tenant == principal.tenant, seen_by(principal)).group_by(Job.state)
    async with state.database.session(principal.tenant) as session:
        rows = (await session.exec(collections)).all()
        counted = dict((await session.exec(jobs)).all())
    return {
        "collections": [{"name": name, "description": text, "documents": count} for name, text, count in rows],
        "jobs": counted,
    }
