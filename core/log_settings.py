"""The settings of the logs: three streams, where each goes, and how lines look."""

from typing import Literal

from pydantic import Field

from core.sections import Section

#: Where the lines of a stream go. `otlp` is the collector that OpenTelemetry's usual variables name.
Destination = Literal["stdout", "stderr", "otlp", "stdout+otlp", "stderr+otlp", "off"]
Level = Literal["debug", "info", "warning", "error"]


class LogSettings(Section):
    """What is logged, where it goes, and how it looks."""

    level: Level = Field("info", description="the least that the stream application tells")
    format: Literal["auto", "json", "pretty"] = Field("auto", description="auto: pretty in a terminal, JSON elsewhere")
    application: Destination = Field(
        "stdout", description="where the platform's own lines and libraries' go: stdout, stderr, otlp, both with a +, or off"
    )
    audit: Destination = Field("stdout", description="where the events of the audit log go, whatever the level is")
    security: Destination = Field(
        "stdout", description="where sign-ins, refusals, blocked inputs and refused fetches go, as they happen"
    )
    security_level: Level = Field("info", description="the least that the stream security tells")
