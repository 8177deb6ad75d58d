"""`/documents`: collections and what they hold, for people: brought in, searched, read at a place, deleted."""

from typing import Annotated, Any, Literal
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Query, Request
from starlette.responses import RedirectResponse, Response

from core import denials
from core.errors import InvalidRequest, NotFound, PlatformError
from core.principals import Principal, Scope
from core.tables import Collection, DocumentState
from retrievers.dead_letters import Which
from retrievers.places import Place, find_place
from retrievers.sharing import Level
from server.pages.administration import Typed, checked, typed
from server.pages.advice import ADVICE, OTHERWISE, advice
from server.pages.frame import PageRoute, framed
from server.pagination import PageRequest, Paging, encode_cursor
from server.routes import collections as collections_api
from server.routes import documents as api
from server.routes.collections import CollectionInfo, CollectionName, NewCollection, Owner
from server.routes.documents import MOST_POSITION, DocumentID, DocumentInfo, Reader, Writer
from server.state import CurrentState, State

PATH = "/documents"
router = APIRouter(prefix=PATH, include_in_schema=False, route_class=PageRoute)

#: Collections in the menu beside a page.
_BESIDE = 50
#: Characters on each side of what a document's page shows.
_AROUND = 6000
_STATES = {"queued": "waiting", "processing": "being read", "ready": "ready", "failed": "failed"}
_PAGES = {"presentation": "slide", "spreadsheet": "sheet"}

#: Which documents a collection's page shows: an empty field of its form is no condition.
Shown = Annotated[Literal["", "queued", "processing", "ready", "failed"], Query(alias="state")]
Named = Annotated[str, Query(alias="name", max_length=1024)]
Position = Annotated[int, Query(ge=0, le=MOST_POSITION)]


@router.get("")
async def show_collections(request: Request, state: CurrentState, principal: Reader, paging: Paging) -> Response:
    """The collections that the caller may read."""
    return await _all(request, state, principal, paging)


@router.post("")
async def make_collection(request: Request, state: CurrentState, principal: Writer) -> Response:
    """Make a collection by the form."""
    form = await typed(request)
    try:
        new = checked(NewCollection, {"name": form.text("name"), "description": form.text("description")})
        made = await collections_api.create_collection(new, state, principal, Response())
    except PlatformError as error:
        return await _all(request, state, principal, PageRequest(), form=form, problem=error)
    return RedirectResponse(f"{PATH}/{made.name}", 303)


@router.get("/{name}")
async def show_collection(
    name: CollectionName,
    request: Request,
    state: CurrentState,
    principal: Reader,
    paging: Paging,
    shown: Shown = "",
    named: Named = "",
) -> Response:
    """What one of them holds."""
    collection = await state.library.collections.get(principal, name)
    wanted = {key: value for key, value in (("state", shown), ("name", named.strip())) if value}
    return await _one(request, state, principal, collection, paging, wanted)


@router.post("/{name}")
async def change_collection(name: CollectionName, request: Request, state: CurrentState, principal: Owner) -> Response:
    """What the forms of a collection's pages do."""
    form = await typed(request)
    collection = await state.library.collections.get(principal, name)
    try:
        if form.act != "delete" and not principal.may(Scope.RAG_WRITE):
            raise denials.lacks(principal, Scope.RAG_WRITE)
        match form.act:
            case "delete-document":
                await api.delete_document(name, form.of, state, principal)
            case "retry":
                await _again(state, principal, name, form.of)
            case "delete":
                await collections_api.delete_collection(name, state, principal)
                return RedirectResponse(f"{PATH}?done=deleted", 303)
            case _:
                raise InvalidRequest("The form does not say what to do.")
    except PlatformError as error:
        return await _one(request, state, principal, collection, PageRequest(), {}, problem=error)
    kept = {key: form.text(key) for key in ("state", "name", "cursor") if form.text(key)}
    return RedirectResponse(f"{PATH}/{name}?{urlencode(kept | {'done': form.act})}", 303)


@router.get("/{name}/{document_id}")
async def show_document(
    name: CollectionName,
    document_id: DocumentID,
    request: Request,
    state: CurrentState,
    principal: Reader,
    start: Position = 0,
    end: Position = 0,
) -> Response:
    """A document, and its text around the stretch `[start:end]`, which is marked."""
    collection = await state.library.collections.get(principal, name)
    row = await state.library.documents.get(principal, collection, document_id)
    try:
        place = await find_place(state.library, principal, collection, document_id, start, max(start, end), around=_AROUND)
    except NotFound:
        place = None
    values = {
        **await _described(state, principal, collection),
        "document": DocumentInfo.of(row),
        "advice": advice(row.error_code),
        "states": _STATES,
        "place": place,
        "window": _window(place) if place else None,
        "page_noun": _page_noun(row.media_type),
        "address": f"{api_address(name)}/{quote(document_id, safe='')}",
    }
    return framed(request, principal, "document", values)


async def _again(state: State, principal: Principal, name: str, document_id: str) -> None:
    """Bring a document in once more, from the content that is here, from its address or its source.

    Raises:
        NotFound: `document_not_found`; `file_not_found`: only who has it can give it anew.
    """
    collection = await state.library.collections.get(principal, name, Level.WRITE)
    await state.library.documents.get(principal, collection, document_id)
    retried = await state.library.dead_letters.retry(principal, collection, Which(documents=[document_id]))
    if retried.left:
        raise NotFound("The file is not here: add it again.", code="file_not_found")


def api_address(name: str) -> str:
    """Where the API has a collection's documents."""
    return f"{collections_api.router.prefix}/{quote(name, safe='')}/documents"


async def _all(
    request: Request,
    state: State,
    principal: Principal,
    paging: PageRequest,
    *,
    form: Typed | None = None,
    problem: PlatformError | None = None,
) -> Response:
    rows, following = await state.library.collections.page(principal, limit=paging.limit, after=paging.after)
    values = {
        "collections": await collections_api.described(state, principal, rows),
        "next_cursor": encode_cursor(following) if following is not None else None,
        "first": paging.after is None,
        "may_write": principal.may(Scope.RAG_WRITE),
    }
    return framed(request, principal, "collections", values, form=form, problem=problem)


async def _one(
    request: Request,
    state: State,
    principal: Principal,
    collection: Collection,
    paging: PageRequest,
    wanted: dict[str, str],
    *,
    problem: PlatformError | None = None,
) -> Response:
    shown = DocumentState(wanted["state"]) if "state" in wanted else None
    rows, following = await state.library.documents.page(
        collection, limit=paging.limit, after=paging.after, state=shown, containing=wanted.get("name")
    )
    limits = state.settings.limits
    values = {
        **await _described(state, principal, collection),
        "documents": [(DocumentInfo.of(row), advice(row.error_code)) for row in rows],
        "wanted": wanted,
        "states": _STATES,
        "address": f"{PATH}/{collection.name}" + (f"?{urlencode(wanted)}" if wanted else ""),
        "cursor": encode_cursor(paging.after) if paging.after is not None else "",
        "next_cursor": encode_cursor(following) if following is not None else None,
        "most_files": min(limits.files_per_upload, _BESIDE),
        "follows_jobs": principal.may(Scope.JOBS_READ),
        "known_advice": ADVICE | {"": OTHERWISE},
    }
    return framed(request, principal, "documents", values, problem=problem)


async def _described(state: State, principal: Principal, collection: Collection) -> dict[str, Any]:
    """The collection, those beside it in the menu, and what the caller may do with it."""
    info: CollectionInfo
    (info,) = await collections_api.described(state, principal, [collection])
    beside, more = await state.library.collections.page(principal, limit=_BESIDE)
    names = [row.name for row in beside]
    writes = principal.may(Scope.RAG_WRITE)
    return {
        "collection": info,
        "beside": names if collection.name in names else [collection.name, *names],
        "more": more is not None,
        "may_write": writes and info.access != "read",
        "may_delete": info.access == "manage" and (writes or principal.may(Scope.RAG_MANAGE)),
    }


def _window(place: Place) -> dict[str, int | None]:
    """Where what is shown begins and ends, and where those stretches are in the middle that come before and behind it."""
    begin, stop = place.start - len(place.before), place.end + len(place.after)
    return {
        "begin": begin,
        "stop": stop,
        "earlier": max(0, begin - _AROUND) if begin else None,
        "later": min(stop + _AROUND, place.characters) if stop < place.characters else None,
    }


def _page_noun(media_type: str | None) -> str:
    return next((noun for part, noun in _PAGES.items() if part in (media_type or "")), "page")
