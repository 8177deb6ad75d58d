"""The models that metrics ask: what they name is known before anything is asked, and none is asked that may not be."""

from typing import TYPE_CHECKING, Any

from core import denials
from core.context import current
from core.principals import Principal, Scope

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings
    from langchain_core.language_models import BaseChatModel

    from providers.base import ModelFacts
    from providers.models import Models
    from providers.registry.loading import Editions

#: An alias, and the right that asking it needs.
Ask = tuple[str, Scope]


class GrantedModels:
    """What metrics have in place of `Models`: the same, but a model is given only where whom the request is for may use its
    alias. `named` is what has been looked up so far, which metrics do as they are made."""

    def __init__(self, models: "Models") -> None:
        self._models = models
        self.named: set[Ask] = set()

    def facts(self, alias: str) -> "ModelFacts":
        """As `Models.facts`, of a chat model that is to be asked."""
        self.named.add((alias, Scope.CHAT_INVOKE))
        return self._models.facts(alias)

    def embedding_name(self, alias: str) -> str:
        """As `Models.embedding_name`, of a model that is to be asked."""
        self.named.add((alias, Scope.EMBEDDINGS_INVOKE))
        return self._models.embedding_name(alias)

    def chat(self, alias: str) -> "BaseChatModel":
        """As `Models.chat`. Raises Forbidden (`forbidden`, `model_not_allowed`) as well."""
        admit(current().principal, {(alias, Scope.CHAT_INVOKE)})
        return self._models.chat(alias)

    def embeddings(self, alias: str) -> "Embeddings":
        """As `Models.embeddings`. Raises as `chat`."""
        admit(current().principal, {(alias, Scope.EMBEDDINGS_INVOKE)})
        return self._models.embeddings(alias)

    def catalogue(self) -> Any:
        """As `Models.catalogue`."""
        return self._models.catalogue()

    @property
    def versions(self) -> "Editions":
        """As `Models.versions`."""
        return self._models.versions


def admit(principal: Principal, asks: "frozenset[Ask] | set[Ask]", *, param: str | None = None) -> None:
    """Let somebody ask these models.

    Raises:
        Forbidden: `forbidden`: a scope is lacking; `model_not_allowed`: the key is for other models.
    """
    for alias, scope in sorted(asks):
        if not principal.may(scope):
            raise denials.lacks(principal, scope, act=f"ask {alias!r}")
        if not principal.may_use_model(alias):
            text = f"This key is not for the model {alias!r}."
            raise denials.barred(principal, text, code="model_not_allowed", param=param)
