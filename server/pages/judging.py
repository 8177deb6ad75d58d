"""Whether a page asks its readers what they think of an answer."""

from core.context import RequestContext
from core.policies.retention import keeps_nothing
from core.policies.store import Policies
from core.principals import Scope


def judges(request: RequestContext, policies: Policies) -> str:
    """`words`: thumbs, and room to say why; `thumbs`: these alone, since no words of the tenant's are kept; empty: neither, to
    who may give no feedback."""
    if not request.principal.may(Scope.FEEDBACK_WRITE):
        return ""
    return "thumbs" if keeps_nothing(policies, request) else "words"
