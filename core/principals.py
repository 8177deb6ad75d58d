"""Who a request acts for, and what they may do."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

from core.networks import Networks


class Scope(StrEnum):
    """Every right that a route can ask for."""

    CHAT_INVOKE = "chat:invoke"
    COMPLETION_INVOKE = "completion:invoke"
    CODE_INVOKE = "code:invoke"
    MULTIMODAL_INVOKE = "multimodal:invoke"
    EMBEDDINGS_INVOKE = "embeddings:invoke"
    BATCHES_RUN = "batches:run"
    BATCHES_MANAGE = "batches:manage"
    RAG_READ = "rag:read"
    RAG_SEARCH = "rag:search"
    RAG_WRITE = "rag:write"
    RAG_MANAGE = "rag:manage"
    JOBS_READ = "jobs:read"
    PII_READ = "pii:read"
    MODELS_READ = "models:read"
    MODELS_DEPLOY = "models:deploy"
    EXPERIMENTS_READ = "experiments:read"
    EXPERIMENTS_MANAGE = "experiments:manage"
    FEEDBACK_WRITE = "feedback:write"
    EVALS_READ = "evals:read"
    EVALS_RUN = "evals:run"
    EVALS_MANAGE = "evals:manage"
    USAGE_READ = "usage:read"
    USAGE_MANAGE = "usage:manage"
    BUDGETS_MANAGE = "budgets:manage"
    ALERTS_MANAGE = "alerts:manage"
    MONITORS_READ = "monitors:read"
    KEYS_MANAGE = "keys:manage"
    USERS_MANAGE = "users:manage"
    POLICIES_MANAGE = "policies:manage"
    PRIVACY_MANAGE = "privacy:manage"
    AUDIT_READ = "audit:read"
    CACHE_MANAGE = "cache:manage"
    HEALTH_READ = "health:read"
    TENANTS_MANAGE = "tenants:manage"
    PROVIDERS_MANAGE = "providers:manage"
    BROWSER_TOKENS_MAKE = "browser_tokens:make"


class Role(StrEnum):
    """The built-in roles: named sets of scopes. A tenant may have more of its own (`core.tables.CustomRole`)."""

    ADMIN = "admin"
    DEVELOPER = "developer"
    ANALYST = "analyst"
    USER = "user"


_READ = {Scope.RAG_SEARCH, Scope.JOBS_READ, Scope.MODELS_READ, Scope.HEALTH_READ}
_INVOKE = _READ | {
    Scope.RAG_READ,
    Scope.CHAT_INVOKE,
    Scope.COMPLETION_INVOKE,
    Scope.CODE_INVOKE,
    Scope.MULTIMODAL_INVOKE,
    Scope.EMBEDDINGS_INVOKE,
    Scope.BATCHES_RUN,
    Scope.PII_READ,
    Scope.FEEDBACK_WRITE,
}
ROLE_SCOPES: dict[Role, frozenset[Scope]] = {
    Role.ADMIN: frozenset(Scope),
    Role.DEVELOPER: frozenset(
        _INVOKE
        | {Scope.RAG_WRITE, Scope.USAGE_READ, Scope.MONITORS_READ, Scope.BROWSER_TOKENS_MAKE}
        | {Scope.EXPERIMENTS_READ, Scope.EVALS_READ, Scope.EVALS_RUN}
    ),
    Role.ANALYST: frozenset(
        _READ | {Scope.USAGE_READ, Scope.MONITORS_READ, Scope.PII_READ, Scope.EXPERIMENTS_READ, Scope.EVALS_READ}
    ),
    Role.USER: frozenset(_INVOKE),
}

#: What the page of another origin can be given: it calls capabilities and reads and brings in documents, and manages nothing.
BROWSER_SCOPES = frozenset(
    {
        Scope.CHAT_INVOKE,
        Scope.COMPLETION_INVOKE,
        Scope.CODE_INVOKE,
        Scope.MULTIMODAL_INVOKE,
        Scope.EMBEDDINGS_INVOKE,
        Scope.RAG_READ,
        Scope.RAG_SEARCH,
        Scope.RAG_WRITE,
        Scope.JOBS_READ,
        Scope.PII_READ,
        Scope.MODELS_READ,
        Scope.FEEDBACK_WRITE,
    }
)

#: Rights over what the whole tenant, or all of them, go by: who belongs to it, its policies, providers, budgets and alerts. A
#: key for some models or collections changes nothing of that.
TENANT_WIDE = frozenset(
    {
        Scope.USERS_MANAGE,
        Scope.POLICIES_MANAGE,
        Scope.USAGE_MANAGE,
        Scope.BUDGETS_MANAGE,
        Scope.ALERTS_MANAGE,
        Scope.MODELS_DEPLOY,
        Scope.EXPERIMENTS_MANAGE,
        Scope.PROVIDERS_MANAGE,
        Scope.TENANTS_MANAGE,
        Scope.CACHE_MANAGE,
    }
)

#: What is left to whoever had a role that was deleted, or that went with a group: the name of none, nor can any be called so.
NO_ROLE = "-"

DEFAULT_TENANT = "default"
#: Rights over what all tenants share. Only principals of the default tenant, the operator's own, can hold them.
PLATFORM_SCOPES = frozenset({Scope.TENANTS_MANAGE, Scope.PROVIDERS_MANAGE})
#: Fields of a principal that say who they are and from where, and nothing of what they may see and do.
_WHO = frozenset({"id", "name", "key_id", "stands_for", "from_cookie", "from_token", "networks", "origin"})


#: Either lets somebody read and search collections; with `rag:read` they ask models about them as well.
SEARCHING = frozenset({Scope.RAG_READ, Scope.RAG_SEARCH})


def allowed_by_both(one: AbstractSet[Scope], other: AbstractSet[Scope]) -> frozenset[Scope]:
    """What two sets of scopes allow, of which one narrows the other: `rag:search` is a part of `rag:read`."""
    common = frozenset(one) & other
    search = not (SEARCHING & common or SEARCHING.isdisjoint(one) or SEARCHING.isdisjoint(other))
    return common | {Scope.RAG_SEARCH} if search else common


def beyond(wanted: AbstractSet[Scope], held: AbstractSet[Scope]) -> frozenset[Scope]:
    """What of the scopes that are wanted the held ones do not allow."""
    lacking = frozenset(wanted) - held
    return lacking - {Scope.RAG_SEARCH} if Scope.RAG_READ in held else lacking


def held_in(tenant: str, scopes: frozenset[Scope]) -> frozenset[Scope]:
    """Those of `scopes` that a principal of `tenant` can hold."""
    return scopes if tenant == DEFAULT_TENANT else scopes - PLATFORM_SCOPES


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller that has been authenticated, or whom a job works for.

    `id` is the user's or service account's identifier, or the key's where a key stands for itself; what a principal makes
    belongs to it. `role` is a built-in or custom role's name, which counts for nothing unless `role_held`: a
    key's may be one that its user has lost. `models`, `collections` and `networks` narrow what a key may be
    used for; None is no limit. `key_id` names the key that was shown, never the key, and `stands_for` the first of those that
    it took the place of; with `from_token` it was not shown itself, but a token that was made from it. `origin` is the one
    whose pages alone may show that token; None for other credentials.
    """

    id: str
    tenant: str
    name: str
    role: str
    scopes: frozenset[Scope]
    from_cookie: bool = False
    key_id: str | None = None
    teams: frozenset[str] = field(default=frozenset())
    models: frozenset[str] | None = None
    collections: frozenset[str] | None = None
    networks: Networks | None = None
    from_token: bool = False
    origin: str | None = None
    role_held: bool = True
    stands_for: str | None = None

    @property
    def first_key(self) -> str | None:
        """What the key, however often it is rotated, is known by to limits and budgets."""
        return self.stands_for or self.key_id

    def may(self, scope: Scope) -> bool:
        return scope in self.scopes

    @property
    def may_search(self) -> bool:
        """Whether they may read and search collections, be it without asking a model."""
        return not self.scopes.isdisjoint(SEARCHING)

    def may_use_model(self, alias: str) -> bool:
        """Whether the key is for this alias of a model."""
        return self.models is None or alias in self.models

    def may_use_collection(self, name: str) -> bool:
        """Whether the key is for the collection of this name; what its owner shares is asked elsewhere."""
        return self.collections is None or name in self.collections

    def may_come_from(self, address: str | None) -> bool:
        """Whether the key may be used from this address; None, an unknown one, only where there is no limit."""
        return self.networks is None or self.networks.hold(address)

    @property
    def limits(self) -> tuple[str, ...]:
        """The names of what narrows the key: `models`, `collections`, `networks`."""
        return tuple(name for name in ("models", "collections", "networks") if getattr(self, name) is not None)

    @property
    def rights(self) -> str:
        """All that decides what they may see and do, in one canonical text: whoever has the same may be given the same answer.

        Whatever a principal comes to hold counts, unless it is listed here as saying who they are.
        """
        held = {each.name: getattr(self, each.name) for each in fields(self) if each.name not in _WHO}
        return repr({name: sorted(value) if isinstance(value, frozenset) else value for name, value in held.items()})

    def to_job(self) -> dict[str, Any]:
        """What a job keeps, to be worked on with these rights: see `from_job`."""
        return {
            "id": self.id,
            "tenant": self.tenant,
            "name": self.name,
            "role": self.role,
            "role_held": self.role_held,
            "scopes": sorted(self.scopes),
            "key_id": self.key_id,
            "stands_for": self.stands_for,
            "teams": sorted(self.teams),
            "models": None if self.models is None else sorted(self.models),
            "collections": None if self.collections is None else sorted(self.collections),
        }

    @classmethod
    def from_job(cls, kept: Mapping[str, Any]) -> "Principal":
        """The principal that a job was made by. A scope that no longer exists is dropped."""
        models, collections = kept.get("models"), kept.get("collections")
        return cls(
            kept["id"],
            kept["tenant"],
            kept["name"],
            kept["role"],
            frozenset(Scope(scope) for scope in kept["scopes"] if scope in set(Scope)),
            key_id=kept.get("key_id"),
            stands_for=kept.get("stands_for"),
            teams=frozenset(kept.get("teams", ())),
            models=None if models is None else frozenset(models),
            collections=None if collections is None else frozenset(collections),
            role_held=kept.get("role_held", True),
        )


#: Acts for the platform itself, for example when it indexes its own handbook.
SYSTEM = Principal("system", DEFAULT_TENANT, "system", Role.ADMIN, ROLE_SCOPES[Role.ADMIN])

#: A caller that has shown no credential yet.
ANONYMOUS = Principal("anonymous", DEFAULT_TENANT, "anonymous", Role.USER, frozenset())
