"""Browser tokens: access tokens that the page of another origin calls the API with, made by the backend of that page."""

from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from core import audit, denials
from core.errors import Forbidden, InvalidRequest
from core.policies.origins import Origin
from core.principals import BROWSER_SCOPES, Principal, Scope, beyond
from server.access.tokens import BrowserUse
from server.auth import requires
from server.shown_once import ShownOnce
from server.state import CurrentState

router = APIRouter(tags=["Access"])

Maker = Annotated[Principal, requires(Scope.BROWSER_TOKENS_MAKE)]
#: More would not be told apart by a page, and its headers have to hold the token.
Names = Annotated[list[Annotated[str, Field(min_length=1, max_length=128)]], Field(min_length=1, max_length=50)]


class WantedBrowserToken(BaseModel):
    """Whose pages the token is for, and at most what they may do with it."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"origin": "https://app.example.com", "scopes": ["chat:invoke"], "expires_in": 300}]},
    )

    origin: Origin = Field(description="of the pages, as https://app.example.com; one that the tenant's policies let in")
    scopes: list[Scope] | None = Field(
        None, min_length=1, description="these of your scopes alone; null: all of them that a page can be given"
    )
    models: Names | None = Field(None, description="the aliases of models that it is for; null: all of yours")
    collections: Names | None = Field(None, description="the collections that it is for; null: all of yours")
    user_id: str | None = Field(
        None,
        max_length=64,
        description="the user that it acts for, with no more than you may; null: you. Needs keys:manage and users:manage, "
        "and all that this user may do",
    )
    expires_in: int = Field(300, ge=10, description="seconds; at most GENAI_TOKENS__BROWSER_S, 900 as it comes")


class BrowserToken(BaseModel):
    """The token at the one moment when it is shown."""

    access_token: ShownOnce
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - the name of a scheme
    expires_in: int = Field(description="seconds that it is good for; it cannot be refreshed")
    scope: str = Field(description="what it may do, divided by spaces")
    origin: str = Field(description="as browsers send it")


@router.post("/api/v1/auth/browser-tokens", status_code=201)
async def make_browser_token(wanted: WantedBrowserToken, state: CurrentState, principal: Maker) -> BrowserToken:
    """Make an access token that only the pages of one origin can use. It ends with your key, user or role, within a second.

    Raises:
        Forbidden: `sign_in_needed`: a token makes no further ones; `origin_not_allowed`: the tenant's policies do not let these
            pages in; `more_than_own`, also for whom you may not act for; `forbidden`, `key_needed`: for another user, and you
            lack keys:manage or showed no key.
        InvalidRequest: `scope_not_for_browsers`; `user_not_found`; it would be good for too long.
    """
    if principal.from_token:
        raise denials.shown_a_token(principal, "makes no further ones")
    if wanted.origin not in state.models.policies.of(principal.tenant).browsers.origins:
        message = "The tenant's policies do not let pages of this origin in: see PUT /api/v1/policies, browsers.origins."
        audit.note(audit.Action.ORIGIN_DENIED, details={"made_for": wanted.origin}, principal=principal)
        raise Forbidden(message, code="origin_not_allowed")
    longest = state.settings.tokens.browser_s
    if wanted.expires_in > longest:
        raise InvalidRequest(f"A browser token is good for {longest} seconds at most.", param="expires_in")
    scopes = _scopes(wanted, principal)
    _refuse_more(wanted, scopes, principal)
    use = BrowserUse(
        origin=wanted.origin,
        lifetime_s=wanted.expires_in,
        user_id=None if wanted.user_id == principal.id else wanted.user_id,
        models=None if wanted.models is None else frozenset(wanted.models),
        collections=None if wanted.collections is None else frozenset(wanted.collections),
    )
    issued = await state.access.tokens.issue_for_browser(principal, scopes, use)
    return BrowserToken(
        access_token=issued.access_token,
        expires_in=issued.expires_in,
        scope=" ".join(sorted(issued.scopes)),
        origin=wanted.origin,
    )


def _scopes(wanted: WantedBrowserToken, principal: Principal) -> frozenset[Scope]:
    if wanted.scopes is None:
        return principal.scopes & BROWSER_SCOPES
    asked = frozenset(wanted.scopes)
    if unfit := asked - BROWSER_SCOPES:
        message = f"A page is not given what manages the platform: {', '.join(sorted(unfit))}."
        raise InvalidRequest(message, code="scope_not_for_browsers", param="scopes")
    return asked


def _refuse_more(wanted: WantedBrowserToken, scopes: frozenset[Scope], principal: Principal) -> None:
    """Refuse what its maker may not do either: scopes, models, collections, acting for somebody else."""
    limits = ((wanted.models, principal.models, "models"), (wanted.collections, principal.collections, "collections"))
    more = [scope.value for scope in sorted(beyond(scopes, principal.scopes))]
    more += [name for given, own, name in limits if given is not None and own is not None and not own.issuperset(given)]
    if more:
        raise denials.more_than_own(principal, more, f"A token may not do more than its maker: {', '.join(more)}.")
    if wanted.user_id not in (None, principal.id):
        if not principal.may(Scope.KEYS_MANAGE):
            raise denials.lacks(principal, Scope.KEYS_MANAGE, act="make tokens for somebody else")
        if principal.key_id is None:
            raise denials.barred(principal, "Only a key makes tokens for somebody else: show one.", code="key_needed")
