"""The scopes in words for people, in the groups in which pages show them."""

from collections.abc import Collection

from core.principals import Scope

_GROUPS: dict[str, dict[Scope, str]] = {
    "Ask models": {
        Scope.CHAT_INVOKE: "chat",
        Scope.COMPLETION_INVOKE: "complete text",
        Scope.CODE_INVOKE: "write and explain code",
        Scope.MULTIMODAL_INVOKE: "read images and PDFs",
        Scope.EMBEDDINGS_INVOKE: "make embeddings",
        Scope.BATCHES_RUN: "run batches of their own",
        Scope.MODELS_READ: "list the models",
    },
    "Documents": {
        Scope.RAG_READ: "ask and search collections",
        Scope.RAG_SEARCH: "read and search collections, ask no model",
        Scope.RAG_WRITE: "add and delete documents",
        Scope.RAG_MANAGE: "look after every collection",
        Scope.PII_READ: "find personal data in a text",
    },
    "Watch": {
        Scope.JOBS_READ: "follow jobs",
        Scope.USAGE_READ: "see usage and costs",
        Scope.MONITORS_READ: "see what monitors have found",
        Scope.HEALTH_READ: "see how the parts do",
        Scope.AUDIT_READ: "read the audit log",
    },
    "Administer the tenant": {
        Scope.USERS_MANAGE: "users, teams and roles",
        Scope.KEYS_MANAGE: "keys",
        Scope.POLICIES_MANAGE: "policies and guards",
        Scope.PRIVACY_MANAGE: "erase and export people's data",
        Scope.BATCHES_MANAGE: "see and stop every batch",
        Scope.CACHE_MANAGE: "drop kept answers",
        Scope.MODELS_DEPLOY: "deploy models",
        Scope.ALERTS_MANAGE: "see alerts, and where they are told",
        Scope.BUDGETS_MANAGE: "budgets and rate limits",
        Scope.USAGE_MANAGE: "cost centres and the month's close",
    },
    "Operate the platform": {
        Scope.TENANTS_MANAGE: "make and close tenants",
        Scope.PROVIDERS_MANAGE: "providers' credentials",
    },
}


def grouped(there: Collection[Scope]) -> list[tuple[str, list[tuple[Scope, str]]]]:
    """Those of the scopes that are `there`: in groups, each with what it allows. One that nobody has put into words stands at
    the end by its name."""
    groups = [(title, [(each, text) for each, text in scopes.items() if each in there]) for title, scopes in _GROUPS.items()]
    worded = {each for scopes in _GROUPS.values() for each in scopes}
    groups.append(("More", [(each, "") for each in Scope if each in there and each not in worded]))
    return [(title, scopes) for title, scopes in groups if scopes]
