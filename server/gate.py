"""The gate: every refusal that comes before the first byte of an answer."""

from core.context import RequestContext
from core.errors import Forbidden
from core.principals import Principal, Scope


def admit(context: RequestContext, scope: Scope) -> Principal:
    """Let the request's principal in, or refuse.

    Raises:
        Forbidden: the principal's key lacks `scope`.
    """
    principal = context.principal
    if not principal.may(scope):
        raise Forbidden(f"This key may not do that: it lacks the scope {scope.value}.")
    return principal
