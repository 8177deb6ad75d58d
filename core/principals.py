"""Who a request acts for, and what they may do."""

from dataclasses import dataclass, fields
from enum import StrEnum


class Scope(StrEnum):
    """Every right that a route can ask for."""

    CHAT_INVOKE = "chat:invoke"
    COMPLETION_INVOKE = "completion:invoke"
    CODE_INVOKE = "code:invoke"
    MULTIMODAL_INVOKE = "multimodal:invoke"
    EMBEDDINGS_INVOKE = "embeddings:invoke"
    BATCHES_RUN = "batches:run"
    RAG_READ = "rag:read"
    RAG_WRITE = "rag:write"
    JOBS_READ = "jobs:read"
    PII_READ = "pii:read"
    MODELS_READ = "models:read"
    KEYS_MANAGE = "keys:manage"
    CACHE_MANAGE = "cache:manage"
    HEALTH_READ = "health:read"


class Role(StrEnum):
    """Named sets of scopes."""

    ADMIN = "admin"
    DEVELOPER = "developer"
    USER = "user"


_INVOKE = {
    Scope.CHAT_INVOKE,
    Scope.COMPLETION_INVOKE,
    Scope.CODE_INVOKE,
    Scope.MULTIMODAL_INVOKE,
    Scope.EMBEDDINGS_INVOKE,
    Scope.BATCHES_RUN,
    Scope.RAG_READ,
    Scope.JOBS_READ,
    Scope.PII_READ,
    Scope.MODELS_READ,
    Scope.HEALTH_READ,
}
ROLE_SCOPES: dict[Role, frozenset[Scope]] = {
    Role.ADMIN: frozenset(Scope),
    Role.DEVELOPER: frozenset(_INVOKE | {Scope.RAG_WRITE}),
    Role.USER: frozenset(_INVOKE),
}

DEFAULT_TENANT = "default"
#: Fields of a principal that say who they are and nothing of what they may do.
_WHO = frozenset({"id", "name", "from_cookie"})


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller that has been authenticated. `id` is the key's identifier, never the key."""

    id: str
    tenant: str
    name: str
    role: Role
    scopes: frozenset[Scope]
    from_cookie: bool = False

    def may(self, scope: Scope) -> bool:
        return scope in self.scopes

    @property
    def rights(self) -> str:
        """All that decides what they may see and do, in one canonical text: whoever has the same may be given the same answer.

        Whatever a principal comes to hold counts, unless it is listed here as saying who they are.
        """
        held = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in _WHO}
        return repr({name: sorted(value) if isinstance(value, frozenset) else value for name, value in held.items()})


#: Acts for the platform itself, for example when it indexes its own handbook.
SYSTEM = Principal("system", DEFAULT_TENANT, "system", Role.ADMIN, ROLE_SCOPES[Role.ADMIN])

#: A caller that has shown no credential yet.
ANONYMOUS = Principal("anonymous", DEFAULT_TENANT, "anonymous", Role.USER, frozenset())
