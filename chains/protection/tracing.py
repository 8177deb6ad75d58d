"""What tracers of LangChain may be told of a request: nothing, where a policy or the caller says that nothing of it is kept.

LangChain gives each run within a capability the tracer of the environment, whatever callbacks the run before had. So tracing is
switched off for all that is done for a request, in one place each: where a capability begins, and where a search does.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from langsmith import tracing_context

from core.context import current
from core.policies.policy import Place
from core.policies.retention import keeps_nothing

if TYPE_CHECKING:
    from providers.models import Models


def may_be_traced(models: "Models", capability: str | None = None) -> bool:
    """Whether what is asked and answered may be told to tracers: not where there are rules for what is written down, or for
    who may see the data, nor where nothing of the request may be kept. `capability`: the one that the request is about to run.
    """
    policies, request = models.policies, current()
    if policies.of(request.principal.tenant).limits_data or keeps_nothing(policies, request):
        return False
    return not models.privacy.modes(Place.LOGS, capability=capability)


def telling(traced: bool) -> AbstractContextManager[None]:
    """For the block, and for all threads and tasks that it starts, tracers are told of no run that they may not know of."""
    return nullcontext() if traced else tracing_context(enabled=False)
