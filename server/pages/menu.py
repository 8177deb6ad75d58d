"""The menu at the top of every page: one entry for each thing that the caller may see."""

from collections.abc import Callable
from dataclasses import dataclass

from core.principals import DEFAULT_TENANT, Principal, Scope
from server.pages.administration import sections_of


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry. `here` is what a page calls itself that is below it."""

    here: str
    title: str
    path: str
    shown: Callable[[Principal], bool]


def _has(*scopes: Scope) -> Callable[[Principal], bool]:
    return lambda principal: any(map(principal.may, scopes))


def _deploys(principal: Principal) -> bool:
    """Aliases and prompts are the operator's own."""
    return principal.may(Scope.MODELS_DEPLOY) and principal.tenant == DEFAULT_TENANT


_ENTRIES = (
    Entry("ask", "Ask", "/ask", _has(Scope.RAG_READ)),
    Entry("documents", "Documents", "/documents", lambda principal: principal.may_search),
    Entry("dashboard", "Dashboard", "/dashboard", _has(Scope.USAGE_READ)),
    Entry("usage", "Usage", "/usage", _has(Scope.USAGE_READ)),
    Entry("models", "Models", "/models", _has(Scope.MODELS_READ)),
    Entry("prompts", "Prompts", "/prompts", _deploys),
    Entry("evals", "Evaluations", "/evals", _has(Scope.EVALS_READ)),
    Entry("experiments", "Experiments", "/experiments", _has(Scope.EXPERIMENTS_READ, Scope.EXPERIMENTS_MANAGE)),
    Entry("monitors", "Monitoring", "/monitors", _has(Scope.MONITORS_READ)),
    Entry("docs", "API docs", "/docs", lambda _: True),
    Entry("admin", "Administration", "/admin", lambda principal: bool(sections_of(principal))),
    Entry("account", "Account", "/account", lambda _: True),
)


def menu_of(principal: Principal) -> list[Entry]:
    """The entries that the principal may see."""
    return [each for each in _ENTRIES if each.shown(principal)]
