"""The settings of what keeps answers coming: breakers, retries, probes, an end that cuts nothing."""

from pydantic import Field

from core.sections import Section


class BreakerSettings(Section):
    """When a deployment that fails is left alone, and when it is tried again."""

    failures: int = Field(5, ge=1, description="failures in a row after which a deployment is left alone")
    failure_rate: float = Field(0.5, gt=0, le=1, description="share of failed calls within the window that does the same")
    window_s: float = Field(30, gt=0, description="seconds over which that share is counted")
    window_calls: int = Field(20, ge=1, description="calls within the window from which on that share counts")
    probe_s: float = Field(10, gt=0, description="seconds at most until one call tries such a deployment again")


class RetrySettings(Section):
    """How often a request is tried. Moving on to another deployment counts as well."""

    attempts: int = Field(
        5, ge=1, description="calls of providers that may come to nothing in one answer, over all of its steps"
    )
    pause_s: float = Field(0.5, gt=0, description="seconds at most before a deployment is called again; doubled each time")
    longest_pause_s: float = Field(10, gt=0, description="seconds at most, also where a provider asks for more by Retry-After")
    share: float = Field(0.2, ge=0, description="repeated calls of the same deployment for each request, over all requests")


class ProbeSettings(Section):
    """Asking providers whether they are there, beside the calls of callers. Local models are not probed."""

    unhealthy_s: float = Field(10, gt=0, description="seconds between two probes of a deployment that is not well")
    idle_s: float = Field(300, gt=0, description="seconds without a call after which a deployment that is well is probed")
    timeout_s: float = Field(10, gt=0, description="seconds that a probe may take")


class ShutdownSettings(Section):
    """What a server does between SIGTERM and its end."""

    notice_s: float = Field(
        0,
        ge=0,
        le=600,
        description="seconds that requests are still taken while readiness says 503, for load balancers to notice",
    )
    grace_s: float = Field(
        120, ge=0, le=3600, description="seconds that open answers have after that; what remains ends with server_stopping"
    )
