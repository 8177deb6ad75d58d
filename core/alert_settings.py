"""The settings of alerts."""

from pydantic import Field, IPvAnyNetwork

from core.sections import Section


class AlertSettings(Section):
    """Telling of trouble: when, and where notices may go."""

    window_s: float = Field(3600, gt=0, description="seconds in which the same alert is raised once, over all processes")
    every_s: float = Field(30, gt=0, description="seconds between two looks for spikes, forecasts, error rates and latencies")
    spike_factor: float = Field(3, gt=1, description="times its usual hour that a tenant spends in an hour which is a spike")
    spike_least_usd: float = Field(1, ge=0, description="dollars within an hour below which nothing is a spike")
    error_rate: float = Field(0.2, gt=0, le=1, description="share of a deployment's calls in five minutes that fail")
    latency_factor: float = Field(3, gt=1, description="times its usual latency that a deployment takes for five minutes")
    least_calls: int = Field(20, ge=1, description="calls in five minutes from which on error rates and latencies count")
    storm: int = Field(30, ge=1, description="notices that one route is sent within ten minutes at most")
    timeout_s: float = Field(10, gt=0, description="seconds that the receiver of a notice may take")
    give_up_hours: float = Field(24, gt=0, description="hours after which a notice that does not arrive is given up")
    kept_days: float = Field(90, gt=0, description="days that alerts which are over, and notices, are kept")
    private_networks: tuple[IPvAnyNetwork, ...] = Field(
        (), description='networks that are not public but may be sent webhooks, as JSON: ["10.1.0.0/16"]'
    )
    mail_hosts: tuple[str, ...] = Field(
        (), description='mail servers that routes may name, as JSON: ["smtp.example.com", "10.0.0.5:1025"]'
    )
