"""`/admin/providers`: what providers are called with, and what is switched off."""

from typing import Any

from fastapi import APIRouter, Request
from sqlmodel import select
from starlette.responses import Response

from core.errors import InvalidRequest, PlatformError
from core.kill_switches.store import KillSwitchStore
from core.principals import Principal, Scope
from core.tables import KillKind, Tenant
from server.auth import request_context
from server.gate import admit
from server.pages.administration import PATH, AdminRoute, Typed, admin_page, back_to, checked, typed
from server.routes import kill_switches as switches_api
from server.routes import provider_credentials as api
from server.routes.kill_switches import Manager as Switcher
from server.routes.kill_switches import Reason
from server.routes.provider_credentials import Manager, NewCredential, NewSecrets, TriedCredential
from server.state import CurrentState, State

router = APIRouter(prefix=f"{PATH}/providers", include_in_schema=False, route_class=AdminRoute)

_HERE = f"{PATH}/providers"
_SECRETS = ("api_key", "access_key_id", "secret_access_key", "session_token", "service_account")
_OPTIONS = ("base_url", "project", "region", "api_version")


@router.get("")
async def show_providers(request: Request, state: CurrentState, principal: Switcher) -> Response:
    """The page."""
    return await _all(request, state, principal)


@router.post("")
async def change_providers(request: Request, state: CurrentState, principal: Switcher) -> Response:
    """What the forms on the page do."""
    form = await typed(request)
    try:
        match form.act:
            case "kill":
                body = checked(Reason, {"reason": form.text("reason")})
                kind, everywhere = _kind(form), _reach(form)
                await switches_api.put(state, principal, kind, form.text("name"), body.reason, everywhere=everywhere)
            case "lift":
                await switches_api.lift(state, principal, _kind(form), form.of, everywhere=_reach(form))
            case "add":
                admit(request_context(request), Scope.MODELS_DEPLOY)
                await _add(state, principal, form)
            case _:
                raise InvalidRequest("The form does not say what to do.")
    except PlatformError as error:
        return await _all(request, state, principal, form=form, problem=error)
    return back_to(_HERE, form.act)


@router.get("/{credential_id}")
async def show_provider_credential(credential_id: str, request: Request, state: CurrentState, principal: Manager) -> Response:
    """One of the credentials."""
    return await _one(request, state, principal, credential_id)


@router.post("/{credential_id}")
async def change_provider_credential(credential_id: str, request: Request, state: CurrentState, principal: Manager) -> Response:
    """What the forms on a credential's page do."""
    form, trial = await typed(request), None
    try:
        match form.act:
            case "test":
                trial = await api.try_kept(state, principal, credential_id)
            case "rotate":
                overlap = form.text("overlap") == "yes"
                await api.rotate_credential(credential_id, _secrets(form, overlap), state, principal)
                trial = await api.try_kept(state, principal, credential_id) if overlap else None
            case "remove":
                await api.remove_credential(credential_id, state, principal)
            case _:
                raise InvalidRequest("The form does not say what to do.")
    except PlatformError as error:
        return await _one(request, state, principal, credential_id, form=form, problem=error)
    if trial is not None:
        return await _one(request, state, principal, credential_id, form=form, trial=trial)
    return back_to(_HERE if form.act == "remove" else f"{_HERE}/{credential_id}", form.act)


async def _add(state: State, principal: Principal, form: Typed) -> None:
    """Keep a credential; where it is to be tested, only one that passes."""
    about: dict[str, Any] = {"provider": form.text("provider"), **_given(form)}
    if form.text("test") == "yes":
        trial = await api.try_new_credential(checked(TriedCredential, about), state, principal)
        if not trial.ok:
            raise InvalidRequest(f"Nothing was added. {trial.message}", code="invalid_credential", param="api_key")
    everywhere = form.text("reach") == "everywhere"
    await api.add(state, principal, checked(NewCredential, about | {"name": form.text("label"), "everywhere": everywhere}))


def _given(form: Typed) -> dict[str, dict[str, str]]:
    return {
        "secrets": {name: value for name in _SECRETS if (value := form.text(name))},
        "options": {name: value for name in _OPTIONS if (value := form.text(name))},
    }


def _secrets(form: Typed, overlap: bool) -> NewSecrets:
    return checked(NewSecrets, {"secrets": _given(form)["secrets"], "overlap": overlap})


def _kind(form: Typed) -> KillKind:
    if form.text("kind") not in set(KillKind):
        raise InvalidRequest("Say what is switched off: a model, a provider or a tenant.", param="kind")
    return KillKind(form.text("kind"))


def _reach(form: Typed) -> bool | None:
    return {"everywhere": True, "tenant": False}.get(form.text("reach")) if form.text("kind") != KillKind.TENANT else None


async def _all(
    request: Request, state: State, principal: Principal, *, form: Typed | None = None, problem: PlatformError | None = None
) -> Response:
    operator, deploys = principal.may(Scope.PROVIDERS_MANAGE), principal.may(Scope.MODELS_DEPLOY)
    tenants: list[str] = []
    if operator:
        async with state.database.session(all_tenants=True) as session:
            tenants = list((await session.exec(select(Tenant.id).order_by(Tenant.id))).all())
    providers = state.models.providers()
    kinds = [("model", "A model"), ("provider", "A provider"), *([("tenant", "A tenant's use of models")] if operator else [])]
    values = {
        "operator": operator,
        "deploys": deploys,
        "providers": [(name, name) for name in providers],
        "kinds": kinds,
        "names": [*state.models.names(), *providers, *tenants],
        "switches": await KillSwitchStore(state.database).all(principal),
        "credentials": await api.listed(state, principal) if deploys else [],
    }
    return admin_page(request, principal, "providers", values, form=form, problem=problem)


async def _one(
    request: Request,
    state: State,
    principal: Principal,
    credential_id: str,
    *,
    form: Typed | None = None,
    problem: PlatformError | None = None,
    trial: api.TrialInfo | None = None,
) -> Response:
    credential = await api.show_credential(credential_id, state, principal)
    values = {"credential": credential, "trial": trial}
    return admin_page(request, principal, "provider", values, form=form, problem=problem)
