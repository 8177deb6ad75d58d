"""How long what kind of data is kept, and whether anything is kept of requests at all."""

from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field

from core.context import RequestContext
from core.errors import InvalidRequest

if TYPE_CHECKING:
    from core.policies.store import Policies

#: What a caller sends to have nothing kept of one request.
HEADER = "x-genai-retention"
NOTHING_KEPT = "nothing_kept"

Days = Annotated[float, Field(gt=0, le=36_500)]


class RetentionPolicy(BaseModel):
    """Days after which data goes by itself; None: it stays until somebody deletes it. `none`: nothing is kept of requests and
    their answers; what a tenant uploads into collections stays."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    none: bool = Field(
        False, description="keep nothing of requests: no sessions, cached answers, batches or repeatable answers"
    )
    conversations_days: Days | None = Field(None, description="days after its last message that a conversation is kept")
    documents_days: Days | None = Field(None, description="days after its last change that a document is kept")
    cache_days: Days | None = Field(None, description="days that an answer is given again, where its alias allows more")
    batches_days: Days | None = Field(None, description="days after its end that a batch is kept, with its files")
    uploads_days: Days | None = Field(None, description="days that an uploaded file is kept which no batch uses")
    evaluations_days: Days | None = Field(None, description="days after its end that a run of an evaluation is kept")
    jobs_days: Days | None = Field(None, description="days after its end that a job is kept, with its events")
    idempotency_days: Days | None = Field(None, description="days that the answer to an Idempotency-Key is given again")
    exports_days: Days | None = Field(None, description="days that an export of somebody's data can be fetched")

    def tightened(self, other: "RetentionPolicy") -> "RetentionPolicy":
        """Of each period the shorter one: nobody is given more time than this policy gives."""
        shorter = {
            name: min((days for days in (getattr(self, name), getattr(other, name)) if days is not None), default=None)
            for name in PERIODS
        }
        return RetentionPolicy(none=self.none or other.none, **shorter)

    def longer_than(self, other: "RetentionPolicy") -> list[str]:
        """The periods that are longer here than the other allows."""
        given = {name: (getattr(self, name), getattr(other, name)) for name in PERIODS}
        return [name for name, (own, most) in given.items() if own is not None and most is not None and own > most]


PERIODS = tuple(name for name in RetentionPolicy.model_fields if name.endswith("_days"))


def keeps_nothing(policies: "Policies", request: RequestContext) -> bool:
    """Whether nothing of the request and its answer may be kept: by its tenant's policy, or by its own wish."""
    return request.keep_nothing or policies.of(request.principal.tenant).retention.none


def refuse_keeping(policies: "Policies", request: RequestContext, what: str, param: str | None = None) -> None:
    """Refuse what only works by keeping the request.

    Raises:
        InvalidRequest: `nothing_kept`: nothing of it may be kept.
    """
    if keeps_nothing(policies, request):
        raise InvalidRequest(f"Nothing may be kept of this request, so {what}.", code=NOTHING_KEPT, param=param)


def wishes_nothing_kept(header: str | None) -> bool:
    """What the header says. Raises InvalidRequest (`invalid_retention`): something else, which must not pass unheeded."""
    if header is None:
        return False
    if header.strip().lower() != "none":
        raise InvalidRequest(f"The header {HEADER} takes `none` alone.", code="invalid_retention")
    return True
