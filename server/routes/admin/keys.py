"""`/admin/keys`: keys of the tenant, made, narrowed, rotated and revoked."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from core.database import utc_now
from core.errors import InvalidRequest, PlatformError
from core.principals import Principal, Scope
from core.tables import APIKey, User
from server.access.directory import Directory
from server.access.keys import KeySearch
from server.pages.administration import PATH, AdminRoute, Typed, admin_page, back_to, checked, typed
from server.pages.scopes import grouped
from server.pagination import Paging, encode_cursor
from server.routes import keys as api
from server.routes import users as users_api
from server.routes.keys import KeyInfo, MadeKey, Manager, NewKey, Rotation
from server.state import CurrentState, State

router = APIRouter(prefix=f"{PATH}/keys", include_in_schema=False, route_class=AdminRoute)

_ROWS = 25
_SUGGESTED = 200
#: What the form for a new key begins with: a key that is forgotten ends by itself.
_USUAL_DAYS = 90
_HOUR_S, _DAY_S = 3600, 86_400
_OVERLAPS = (
    (str(_DAY_S), "for a day"),
    (str(_HOUR_S), "for an hour"),
    (str(7 * _DAY_S), "for 7 days"),
    (str(30 * _DAY_S), "for 30 days"),
    ("0", "not at all: it ends now"),
)
Search = Annotated[str, Query(max_length=200)]


@router.get("")
async def show_keys(
    request: Request, state: CurrentState, principal: Manager, paging: Paging, search: Search = "", ended: bool = False
) -> Response:
    """The list. With `?for=` a user's identifier the form for a key that acts for them is open."""
    wanted = KeySearch(like=search.strip() or None, valid=not ended)
    return await _list(request, state, principal, wanted=wanted, after=paging.after)


@router.post("")
async def make_key(request: Request, state: CurrentState, principal: Manager) -> Response:
    """Make a key by the form. The answer shows it this once."""
    form = await typed(request)
    try:
        made = await api.create_key(checked(NewKey, await _wanted(state, principal, form)), state, principal)
    except PlatformError as error:
        return await _list(request, state, principal, form=form, problem=error)
    return await _list(request, state, principal, made=made)


@router.get("/{key_id}")
async def show_key(key_id: str, request: Request, state: CurrentState, principal: Manager) -> Response:
    """One of them."""
    return await _one(request, state, principal, key_id)


@router.post("/{key_id}")
async def change_key(key_id: str, request: Request, state: CurrentState, principal: Manager) -> Response:
    """What the forms on a key's page do."""
    form, made = await typed(request), None
    try:
        match form.act:
            case "rotate":
                how = checked(Rotation, {"overlap_s": form.text("overlap_s")})
                made = await api.rotate_key(key_id, state, principal, how)
            case "revoke":
                await api.revoke_key(key_id, state, principal)
            case _:
                raise InvalidRequest("The form does not say what to do.")
    except PlatformError as error:
        return await _one(request, state, principal, key_id, form=form, problem=error)
    if made is not None:
        return await _one(request, state, principal, key_id, made=made)
    return back_to(f"{PATH}/keys/{key_id}", form.act)


async def _wanted(state: State, principal: Principal, form: Typed) -> dict[str, Any]:
    """The body of `POST /api/v1/keys` from the form. What the form does not have is in it too, and refused there: a limit that
    was sent by a wrong name must not be left out unnoticed."""
    user_id = form.text("user_id") or None
    if user_id and principal.may(Scope.USERS_MANAGE):  # others are told of nobody whose identifier they do not know
        user_id = (await Directory(state.database).find_user(principal, user_id)).id
    sent = {name: form.text(name) for name in form.given if name != "act"}
    return sent | {
        "name": form.text("name"),
        "role": form.text("role"),
        "user_id": user_id,
        "expires_at": _end_of(form.text("expires_at")),
        "scopes": form.all("scopes") or None,
        "models": form.words("models"),
        "collections": form.words("collections"),
        "networks": form.words("networks"),
    }


def _end_of(day: str) -> datetime | None:
    """The last second of a day in UTC; None without a day."""
    try:
        return datetime.combine(date.fromisoformat(day), time(23, 59, 59), UTC) if day else None
    except ValueError:
        raise InvalidRequest("The day on which the key ends reads like 2030-12-31.", param="expires_at") from None


async def _list(
    request: Request,
    state: State,
    principal: Principal,
    *,
    wanted: KeySearch | None = None,
    after: str | None = None,
    form: Typed | None = None,
    problem: PlatformError | None = None,
    made: MadeKey | None = None,
) -> Response:
    wanted = wanted or KeySearch(valid=True)
    rows, following = await state.access.keys.list(principal.tenant, _ROWS, after, wanted=wanted)
    values = {
        **await _told(state, principal, rows),
        "next_cursor": None if following is None else encode_cursor(following),
        "first": after is None,
        "search": wanted.like or "",
        "ended": not wanted.valid,
        "made": made,
        "open": "for" in request.query_params,
        "acts_for": request.query_params.get("for", "")[:64] or await state.access.keys.user_of(principal) or "",
        **await _choices(state, principal),
    }
    return admin_page(request, principal, "keys", values, form=form, problem=problem, status=201 if made else 200)


async def _one(
    request: Request,
    state: State,
    principal: Principal,
    key_id: str,
    *,
    form: Typed | None = None,
    problem: PlatformError | None = None,
    made: MadeKey | None = None,
) -> Response:
    row = await state.access.keys.get(principal.tenant, key_id)
    told = await _told(state, principal, [row])
    values = {"key": told["keys"][0], "made": made, "overlaps": _OVERLAPS, "own": principal.key_id == row.id, **told}
    return admin_page(request, principal, "key", values, form=form, problem=problem, status=201 if made else 200)


async def _told(state: State, principal: Principal, rows: Sequence[APIKey]) -> dict[str, Any]:
    """The keys as the pages show them, and the names of whom they act for."""
    ids, directory = {row.user_id for row in rows if row.user_id}, Directory(state.database)
    disabled = await directory.disabled(principal, ids)
    keys = [_shown(row, shut_out=row.user_id in disabled) for row in rows]
    return {"keys": keys, "owners": await directory.names(principal, ids)}


def _shown(row: APIKey, *, shut_out: bool) -> dict[str, Any]:
    """What is told of a key, and how it stands: `good`, `wait` (a rotation lets it run out) or `bad`, in a word. It is `live`
    while it has not ended for good: one whose owner is disabled may come back."""
    ended = row.expires_at is not None and row.expires_at <= utc_now()
    if row.revoked_at is not None:
        standing = ("bad", "revoked")
    elif ended:
        standing = ("bad", "replaced" if row.replaced_by else "expired")
    elif shut_out:
        standing = ("bad", "owner disabled")
    else:
        standing = ("wait", "being replaced") if row.replaced_by else ("good", "in use" if row.last_used_at else "not used yet")
    return KeyInfo.of(row).model_dump() | {
        "kind": standing[0],
        "standing": standing[1],
        "live": row.revoked_at is None and not ended,
    }


async def _choices(state: State, principal: Principal) -> dict[str, Any]:
    """What the form for a new key offers: nothing that the principal could not give."""
    roles = await users_api.all_roles(state, principal)
    given = {role.name for role in roles if principal.may(Scope.USERS_MANAGE) and role.within(principal)}
    suggested: Sequence[User] = []
    if principal.may(Scope.USERS_MANAGE):
        suggested, _ = await Directory(state.database).users(principal, _SUGGESTED, None)
    return {
        "roles": [(role.name, role.name) for role in roles if role.name in given | {principal.role}],
        "suggested": suggested,
        "groups": grouped(principal.scopes),
        "aliases": [each["alias"] for each in state.models.states() if principal.may_use_model(each["alias"])],
        "usual_end": (utc_now() + timedelta(days=_USUAL_DAYS)).date().isoformat(),
        "today": utc_now().date().isoformat(),
    }
