"""Lines as log records of OpenTelemetry, sent by OTLP in batches, by a thread of its own.

The SDK's queue is bounded (`OTEL_BLRP_MAX_QUEUE_SIZE`, 2,048 records): while the collector is away the oldest are lost.
"""

import threading
import time
from collections.abc import Mapping, MutableMapping
from datetime import datetime
from typing import Any

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor

from core import otlp
from core.otlp import Signal
from core.transport.sections import TLSSettings

Event = MutableMapping[str, Any]

_SEVERITIES = {
    "debug": SeverityNumber.DEBUG,
    "info": SeverityNumber.INFO,
    "warning": SeverityNumber.WARN,
    "error": SeverityNumber.ERROR,
    "critical": SeverityNumber.FATAL,
}
#: Told by a record's own fields.
_ELSEWHERE = ("event", "level", "timestamp", "trace_id", "span_id", "exception")
_BEYOND = 2**63


class Collector:
    """Takes lines for the collector that the usual variables name. `close` sends what is left, for as long."""

    def __init__(self, tls: TLSSettings) -> None:
        """Raises SettingsError: the endpoint or the protocol cannot be used."""
        processor = BatchLogRecordProcessor(otlp.exporter(Signal.LOGS, tls))
        self._provider = LoggerProvider(resource=otlp.resource(), shutdown_on_exit=False)
        self._provider.add_log_record_processor(processor)
        self._logger = self._provider.get_logger("genai")

    def write(self, event: Event) -> None:
        """Put a line into the queue. It has the trace of the span that is current."""
        attributes = {name: _plain(value) for name, value in event.items() if name not in _ELSEWHERE and value is not None}
        for exception in (event.get("exception") or [])[:1]:
            attributes["exception.type"] = _plain(exception["exc_type"])
            attributes["exception.message"] = _plain(exception.get("exc_value", ""))
            frames = exception.get("frames", ())
            attributes["exception.stacktrace"] = "\n".join(
                f"{each['filename']}:{each['lineno']} {each['name']}" for each in frames
            )
        self._logger.emit(
            LogRecord(
                timestamp=_nanoseconds(event["timestamp"]),
                observed_timestamp=time.time_ns(),
                severity_number=_SEVERITIES.get(event["level"], SeverityNumber.INFO),
                severity_text=event["level"].upper(),
                body=_plain(event.get("message") or event["event"]),
                attributes=attributes,
                event_name=_plain(event["event"]),
            )
        )

    def close(self, timeout_s: float = 2.0) -> None:
        closing = threading.Thread(target=self._provider.shutdown, name="logs-close", daemon=True)
        closing.start()
        closing.join(timeout_s)


def _nanoseconds(timestamp: str) -> int:
    moment = datetime.fromisoformat(timestamp)
    return int(moment.timestamp()) * 10**9 + moment.microsecond * 1000


def _plain(value: Any) -> Any:
    """A value as protobuf has it: no half of a surrogate pair, no integer beyond 64 bits."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if -_BEYOND <= value < _BEYOND else str(value)
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items() if each is not None}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(each) for each in value]
    return _plain(str(value))
