"""OpenTelemetry's protocol (OTLP): where each signal goes, what sends it, and how this process is called there.

All of it is said by OpenTelemetry's usual variables, which its SDK reads itself (headers, certificates, timeouts, compression
among them); here is only what the platform has to know of them. The SDK is loaded where something is sent.
"""

import logging
from enum import StrEnum
from importlib import import_module
from typing import TYPE_CHECKING, Any

import structlog

from core.settings import SettingsError, usual_variable
from core.transport.plaintext import refuse_plaintext
from core.transport.sections import TLSSettings

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource

log = structlog.get_logger()

SERVICE = "genai-platform"
_EXPORTERS = {
    ("http/protobuf", "TRACES"): "opentelemetry.exporter.otlp.proto.http.trace_exporter:OTLPSpanExporter",
    ("http/protobuf", "METRICS"): "opentelemetry.exporter.otlp.proto.http.metric_exporter:OTLPMetricExporter",
    ("http/protobuf", "LOGS"): "opentelemetry.exporter.otlp.proto.http._log_exporter:OTLPLogExporter",
    ("grpc", "TRACES"): "opentelemetry.exporter.otlp.proto.grpc.trace_exporter:OTLPSpanExporter",
    ("grpc", "METRICS"): "opentelemetry.exporter.otlp.proto.grpc.metric_exporter:OTLPMetricExporter",
    ("grpc", "LOGS"): "opentelemetry.exporter.otlp.proto.grpc._log_exporter:OTLPLogExporter",
}
#: They tell of each try in vain and of each item that finds the queue full; `Told` tells of the change.
_TALKATIVE = ("opentelemetry.exporter.otlp", "opentelemetry.sdk._shared_internal", "opentelemetry.sdk.metrics._internal.export")


class Signal(StrEnum):
    """What is sent, as the variables' names have it."""

    TRACES = "TRACES"
    METRICS = "METRICS"
    LOGS = "LOGS"


def is_disabled() -> bool:
    """Whether `OTEL_SDK_DISABLED` says that nothing is sent."""
    return (usual_variable("OTEL_SDK_DISABLED") or "").strip().lower() == "true"


def endpoint(signal: Signal) -> str | None:
    """Where a signal is sent; None where nothing says so, or something says that it is not."""
    if is_disabled() or usual_variable(f"OTEL_{signal}_EXPORTER") == "none":
        return None
    return usual_variable(*_endpoints(signal))


def resource() -> "Resource":
    """This service as a collector is told of it: `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`."""
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource

    named = usual_variable("OTEL_SERVICE_NAME") or OTELResourceDetector().detect().attributes.get("service.name") or SERVICE
    return Resource.create({"service.name": named})


def exporter(signal: Signal, tls: TLSSettings) -> Any:
    """A new exporter for a signal, which tells of changes (`Told`). It speaks what `OTEL_EXPORTER_OTLP_PROTOCOL` says,
    `http/protobuf` without.

    Raises:
        SettingsError: an endpoint is beyond this machine and plaintext would go there, or the protocol cannot be spoken.
    """
    protocol = usual_variable(*_variables(signal, "PROTOCOL")) or "http/protobuf"
    for variable in _endpoints(signal):
        address = usual_variable(variable) or ""
        refuse_plaintext(_of_grpc(address, signal) if protocol == "grpc" else address, variable, tls)
    place = _EXPORTERS.get((protocol, signal.value))
    if place is None:
        raise SettingsError(f"OTEL_EXPORTER_OTLP_PROTOCOL: {protocol!r} is not spoken here; http/protobuf and grpc are")
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    module, _, kind = place.partition(":")
    try:
        return Told(signal, getattr(import_module(module), kind)())
    except ImportError:
        raise SettingsError(
            f"OTEL_EXPORTER_OTLP_PROTOCOL: {protocol} needs the package opentelemetry-exporter-otlp-proto-{protocol}"
        ) from None
    except ValueError as error:
        raise SettingsError(f"OTEL_EXPORTER_OTLP_…: {error}") from None


def _of_grpc(target: str, signal: Signal) -> str:
    """A target of gRPC as an address of http or https. It may be a bare host or have another scheme, as `dns:///host`; but for
    https a variable of its own says whether it is spoken to in plaintext."""
    scheme, _, rest = target.rpartition("://")
    if not target or scheme == "https" or target.startswith(("unix:", "unix-abstract:")):
        return target
    told = usual_variable(*_variables(signal, "INSECURE"))
    plain = scheme == "http" if told is None else told.strip().lower() == "true"
    return f"{'http' if plain else 'https'}://{rest.lstrip('/')}"


class Told:
    """An exporter whose failures are told once, and that it works again once. What it could not send is lost.

    One line a change, whatever the exporter behind it does. Called by one thread at a time, never by a request.
    """

    def __init__(self, signal: Signal, inner: Any) -> None:
        self._signal, self._inner = signal, inner
        self._away = False

    def export(self, batch: Any, /, **how: Any) -> Any:
        """Send a batch."""
        result = self._inner.export(batch, **how)
        away = result.name != "SUCCESS"
        if away and not self._away:
            log.warning("otlp.unreachable", signal=self._signal.lower())
        elif self._away and not away:
            log.info("otlp.reached_again", signal=self._signal.lower())
        self._away = away
        return result

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def _endpoints(signal: Signal) -> tuple[str, ...]:
    return _variables(signal, "ENDPOINT")


def _variables(signal: Signal, what: str) -> tuple[str, ...]:
    return f"OTEL_EXPORTER_OTLP_{signal}_{what}", f"OTEL_EXPORTER_OTLP_{what}"
