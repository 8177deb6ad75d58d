"""The settings of traces. Where they are sent, and how many, is said by OpenTelemetry's usual variables."""

from pydantic import Field

from core.sections import Section


class TracesSettings(Section):
    """What a trace may join, tell and hold. There are none without `OTEL_EXPORTER_OTLP_ENDPOINT` (`core.otlp`)."""

    join_callers: bool = Field(
        False, description="true: a caller's traceparent is joined, and its sampling heeded; false: it is linked to"
    )
    tell_providers: bool = Field(False, description="true: providers that speak OpenAI's protocol are sent our traceparent")
    content: bool = Field(
        False, description="true: spans hold what was asked and answered, without personal data, where policies let them"
    )
