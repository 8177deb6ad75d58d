"""Credentials that providers are called with, kept at run time: a tenant's own, or, by the operator, everybody's."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field, SecretStr
from starlette.responses import Response

from core import audit
from core.credential_forms import checked_options, checked_secrets
from core.errors import InvalidRequest
from core.principals import Principal, Scope
from core.provider_credentials import ProviderCredentials, settings_with
from core.settings import ProviderSettings
from core.tables import ProviderCredential
from core.transport.plaintext import problem_of
from providers.trial import Trial, tried
from server.auth import requires
from server.pagination import Paging, page_of
from server.state import CurrentState, State

router = APIRouter(prefix="/api/v1/provider-credentials", tags=["Operations"])

Manager = Annotated[Principal, requires(Scope.MODELS_DEPLOY)]
Secret = Annotated[SecretStr, Field(min_length=1, max_length=16 * 2**10)]
ProviderName = Annotated[str, Field(min_length=1, max_length=128, description="as the settings name it")]
Model = Annotated[str | None, Query(max_length=256, description="one of the aliases' models; empty: the first")]


class Secrets(BaseModel):
    """What a provider is called with: `api_key`; or for AWS `access_key_id` and `secret_access_key`, for Google
    `service_account`."""

    model_config = ConfigDict(extra="forbid")

    api_key: Secret | None = None
    access_key_id: Secret | None = Field(None, description="AWS, with secret_access_key")
    secret_access_key: Secret | None = None
    session_token: Secret | None = None
    service_account: Secret | None = Field(None, description="Google: the JSON key file of a service account")

    def given(self) -> dict[str, str]:
        """The values, by name."""
        return {name: value.get_secret_value() for name, value in self if value is not None}


class Options(BaseModel):
    """Where the account is, where that is not what is configured for the provider."""

    model_config = ConfigDict(extra="forbid")

    base_url: str | None = Field(
        None, max_length=500, description="the operator's to give; others: https://NAME.openai.azure.com"
    )
    project: str | None = Field(None, max_length=100, description="of Google Cloud")
    region: str | None = Field(None, max_length=40)
    api_version: str | None = Field(None, max_length=40, description="of Azure OpenAI")

    def given(self) -> dict[str, str]:
        """The values, by name."""
        return self.model_dump(exclude_none=True)


class TriedCredential(BaseModel):
    """A credential that is only tried."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"provider": "openai", "secrets": {"api_key": "sk-…"}}]}
    )

    provider: ProviderName
    secrets: Secrets
    options: Options = Options()


class NewCredential(TriedCredential):
    """A credential to keep."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"provider": "openai", "name": "Team account", "secrets": {"api_key": "sk-…"}}]},
    )

    name: str = Field(min_length=1, max_length=200, description="what it is called in lists")
    everywhere: bool = Field(False, description="also for tenants that have none of their own; the operator's to say")


class NewSecrets(BaseModel):
    """Secrets that take the place of others."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"secrets": {"api_key": "sk-…"}, "overlap": True}]}
    )

    secrets: Secrets
    overlap: bool = Field(False, description="true: the old ones are called with until the new ones have passed a test")


class CredentialInfo(BaseModel):
    """What is known of a credential; never its secrets."""

    id: str
    provider: str
    name: str
    everywhere: bool
    options: dict[str, str]
    hint: str = Field(description="the first characters of a secret")
    pending_hint: str | None = Field(description="the same of secrets that wait for their test; null: there are none")
    in_use: bool = Field(description="the tenant's calls are made with it: of several for a provider, with the newest")
    created_at: datetime
    rotated_at: datetime | None
    tested_at: datetime | None
    test_code: str | None = Field(description="empty: it passed its last test")


class CredentialList(BaseModel):
    """Some of the tenant's, the newest first."""

    results: list[CredentialInfo]
    next_cursor: str | None


class TrialInfo(BaseModel):
    """What came back from the provider."""

    ok: bool
    code: str = Field(description="empty where all is well; else `authentication`, `model_missing`, `connection`, `timeout` …")
    message: str
    model: str = Field(description="which one was asked for")
    seconds: float
    took_place: bool = Field(False, description="pending secrets passed, and are called with from now on")

    @classmethod
    def of(cls, trial: Trial, *, took_place: bool = False) -> "TrialInfo":
        seconds = round(trial.seconds, 3)
        return cls(
            ok=trial.ok, code=trial.code, message=trial.message, model=trial.model, seconds=seconds, took_place=took_place
        )


@router.get("", response_model=CredentialList)
async def list_credentials(
    state: CurrentState,
    principal: Manager,
    paging: Paging,
    provider: Annotated[str | None, Query(max_length=128, description="of this provider alone")] = None,
) -> dict[str, Any]:
    """List the credentials of the caller's tenant."""
    found = [CredentialInfo(**told) for told in await listed(state, principal, provider)]
    return page_of(found, paging, lambda credential: credential.id)


@router.post("", status_code=201)
async def add_credential(new: NewCredential, state: CurrentState, principal: Manager) -> CredentialInfo:
    """Keep a credential. The tenant's calls of the provider are made with it from now on, in every process within a second."""
    row = await add(state, principal, new)
    return await _info(state, principal, row.id)


@router.post("/test")
async def try_new_credential(asked: TriedCredential, state: CurrentState, principal: Manager, model: Model = None) -> TrialInfo:
    """Try a credential without keeping it: the provider's free probe is called with it."""
    configured = _configured(state, asked.provider)
    options = _options(state, principal, asked)
    settings = settings_with(configured, checked_secrets(asked.provider, asked.secrets.given()), options)
    trial = await tried(state.models, asked.provider, settings, model=model)
    outcome = audit.Outcome.SUCCESS if trial.ok else audit.Outcome.FAILURE
    details: dict[str, audit.Detail] = {"provider": asked.provider, "code": trial.code}
    audit.note(audit.Action.PROVIDER_CREDENTIAL_TESTED, outcome=outcome, details=details, principal=principal)
    return TrialInfo.of(trial)


@router.get("/{credential_id}")
async def show_credential(credential_id: str, state: CurrentState, principal: Manager) -> CredentialInfo:
    """Show a credential: what it is for and how its last test went, never its secrets."""
    return await _info(state, principal, credential_id)


@router.delete("/{credential_id}", status_code=204)
async def remove_credential(credential_id: str, state: CurrentState, principal: Manager) -> Response:
    """Forget a credential. Calls that are under way end with it; later ones are made with the next newest, or what is
    configured."""
    await ProviderCredentials(state.database).remove(principal, credential_id)
    await state.models.accounts.load(state.database)
    return Response(status_code=204)


@router.put("/{credential_id}/secrets")
async def rotate_credential(credential_id: str, new: NewSecrets, state: CurrentState, principal: Manager) -> CredentialInfo:
    """Put other secrets in the place of a credential's. With `overlap` they wait until a test has shown that they work."""
    credentials = ProviderCredentials(state.database)
    await credentials.replace(principal, credential_id, new.secrets.given(), overlap=new.overlap)
    await state.models.accounts.load(state.database)
    return await _info(state, principal, credential_id)


@router.post("/{credential_id}/test")
async def try_credential(credential_id: str, state: CurrentState, principal: Manager, model: Model = None) -> TrialInfo:
    """Try a credential: the provider's free probe is called with it. Pending secrets are tried in its place where there are
    some, and take it where they pass."""
    return await try_kept(state, principal, credential_id, model=model)


async def listed(state: State, principal: Principal, provider: str | None = None) -> list[dict[str, Any]]:
    """The credentials of the principal's tenant as they may be shown."""
    rows = await ProviderCredentials(state.database).all(principal, provider=provider)
    used: dict[str, str] = {}
    for row in rows:
        used.setdefault(row.provider, row.id)
    hidden = {"tenant", "secrets", "pending", "created_by", "disabled_at", "version"}
    return [row.model_dump(exclude=hidden) | {"in_use": used[row.provider] == row.id} for row in rows]


async def add(state: State, principal: Principal, new: NewCredential) -> ProviderCredential:
    """Keep a credential, and have this process call with it."""
    _configured(state, new.provider)
    row = await ProviderCredentials(state.database).add(
        principal,
        provider=new.provider,
        name=new.name,
        secrets=new.secrets.given(),
        options=_options(state, principal, new),
        everywhere=new.everywhere,
    )
    await state.models.accounts.load(state.database)
    return row


async def try_kept(state: State, principal: Principal, credential_id: str, *, model: str | None = None) -> TrialInfo:
    """Try a credential, or what is to take its place, and note how that went."""
    credentials = ProviderCredentials(state.database)
    row = await credentials.get(principal, credential_id)
    pending = await credentials.pending_of(row)
    secrets = pending if pending is not None else await credentials.secrets_of(row)
    settings = settings_with(_configured(state, row.provider), secrets, row.options)
    trial = await tried(state.models, row.provider, settings, model=model)
    await credentials.tested(principal, row.id, trial.code, pending=pending is not None, version=row.version)
    took_place = pending is not None and trial.ok
    if took_place:
        await state.models.accounts.load(state.database)
    return TrialInfo.of(trial, took_place=took_place)


def _options(state: State, principal: Principal, asked: TriedCredential) -> dict[str, str]:
    """What is given beside the secrets.

    Raises:
        InvalidRequest: `invalid_credential`, also for an address where prompts and keys would go in plaintext: no call is made.
        Forbidden: an address that only an operator may give.
    """
    options = checked_options(asked.provider, asked.options.given(), principal)
    if problem := problem_of(options.get("base_url", ""), state.settings.tls):
        raise InvalidRequest(f"base_url: {problem}.", code="invalid_credential", param="options")
    return options


def _configured(state: State, provider: str) -> ProviderSettings:
    """Raises InvalidRequest: `unknown_provider`: the settings do not have it."""
    if provider not in state.models.providers():
        raise InvalidRequest(
            "Neither an alias nor the settings have a provider of that name.", code="unknown_provider", param="provider"
        )
    return state.models.configured(provider) or ProviderSettings()


async def _info(state: State, principal: Principal, credential_id: str) -> CredentialInfo:
    row = await ProviderCredentials(state.database).get(principal, credential_id)
    [told] = [each for each in await listed(state, principal, row.provider) if each["id"] == row.id]
    return CredentialInfo(**told)
