"""The way of every line, whoever wrote it: fields, stream, what is counted instead, what is taken out, where it goes."""

import logging
import sys
import threading
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import Any

import structlog

from core import otlp
from core.log_settings import LogSettings
from core.logs.foreign import Foreign
from core.logs.harmless import clean, structured
from core.logs.outlets import Outlet
from core.logs.rendering import as_json, pretty
from core.logs.repeats import Repeats
from core.settings import usual_variable
from core.transport.sections import TLSSettings

Event = MutableMapping[str, Any]

STREAMS = ("application", "audit", "security")
_LEVELS = {"warn": "warning", "exception": "error", "fatal": "critical"}
#: Seconds between two looks at what was counted.
_TICK_S = 1.0
_NUMBERS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}


class Pipeline:
    """What becomes of a line, and where it goes."""

    def __init__(self, settings: LogSettings, tls: TLSSettings, *, answers_on_stdout: bool) -> None:
        wanted = {name: getattr(settings, name).split("+") for name in STREAMS}
        if answers_on_stdout:
            wanted = {name: ["stderr" if each == "stdout" else each for each in places] for name, places in wanted.items()}
        if usual_variable("OTEL_LOGS_EXPORTER") == "otlp":
            wanted = {name: places if places == ["off"] else [*places, "otlp"] for name, places in wanted.items()}
        self._repeats = Repeats()
        self._format = settings.format
        self._outlets = {name: Outlet(name, getattr(sys, name), self._changed) for name in ("stdout", "stderr")}
        self._renders = {name: self._render(outlet) for name, outlet in self._outlets.items()}
        self._local = {
            name: [each for each in dict.fromkeys(places) if each in self._outlets] for name, places in wanted.items()
        }
        self._sent = {name for name, places in wanted.items() if "otlp" in places} if _may_send() else set()
        self._collector = _collector(tls) if self._sent else None
        #: The least that is told, by stream. Audit events are told whatever the level is.
        self._least = {"application": _NUMBERS[settings.level], "security": _NUMBERS[settings.security_level], "audit": 0}
        self.level = min(self._least["application"], self._least["security"])
        self._closed = threading.Event()
        threading.Thread(target=self._tick, name="log-repeats", daemon=True).start()

    def shape(self, _logger: Any, method: str, event: Event) -> Any:
        """structlog's last processor."""
        level = _LEVELS.get(method, method)
        line = self.line(event, level)
        if line is None:
            raise structlog.DropEvent
        return (line,), {}

    def line(self, event: Event, level: str) -> Event | None:
        """A finished line; None for one that is not told."""
        stream = event.pop("stream", "application")
        if _NUMBERS[level] < self._least[stream]:
            return None
        moment = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        # most of what anybody looks for stands first
        line: dict[str, Any] = {"timestamp": moment, "level": level, "stream": stream, "event": event.pop("event", None)}
        if "request_id" in event:
            line["request_id"] = event.pop("request_id")
        line |= event
        _trace(line)
        if not self._repeats.passes(line):
            return None
        self._finish(line)
        return line

    def write(self, line: Event) -> None:
        """Send a line where its stream goes."""
        stream = line["stream"]
        for name in self._local[stream]:
            self._outlets[name].write(self._renders[name](line))
        if stream in self._sent and self._collector is not None:
            self._collector.write(line)
            if not self._local[stream] and str(line["event"]).startswith("otlp."):
                # that the collector is away cannot be told by the collector
                self._outlets["stderr"].write(self._renders["stderr"](line))

    def close(self) -> None:
        """Tell what was counted, and give what waits a little time to leave. May be called again."""
        self._closed.set()
        self._repeats.counted.set()
        self._tell_counted(all_of_them=True)
        if self._collector is not None:
            self._collector.close()
        for outlet in self._outlets.values():
            outlet.close()

    @staticmethod
    def _finish(line: Event) -> None:
        line.pop("_template", None)
        structured(line)
        clean(line)

    def _render(self, outlet: Outlet) -> Any:
        if self._format == "pretty" or (self._format == "auto" and outlet.is_terminal):
            return pretty(colours=not usual_variable("NO_COLOR"))
        return as_json

    def _changed(self, event: str, fields: dict[str, Any]) -> None:
        """Tell that a place takes nothing any more, or again: where lines go otherwise, else on standard error."""
        line = self.line({"event": event, **fields}, "info" if event == "log.resumed" else "warning")
        if line is None:
            return
        places = {name for names in self._local.values() for name in names} | {"stderr"}
        if event != "log.resumed":
            places.discard(fields["to"])
        for name in sorted(places):
            self._outlets[name].write(self._renders[name](line))
        if self._collector is not None:
            self._collector.write(line)

    def _tick(self) -> None:
        while not self._closed.is_set():
            self._repeats.counted.wait()
            if not self._closed.wait(_TICK_S):
                self._tell_counted()

    def _tell_counted(self, *, all_of_them: bool = False) -> None:
        for event in self._repeats.ended(all_of_them=all_of_them):
            del event["timestamp"]
            if (line := self.line(event, event.pop("level"))) is not None:
                self.write(line)


def _trace(line: Event) -> None:
    """The trace that the line belongs to, where there is one."""
    tracing = sys.modules.get("opentelemetry.trace")
    if tracing is not None:
        about = tracing.get_current_span().get_span_context()
        if about.is_valid:
            line["trace_id"] = f"{about.trace_id:032x}"
            line["span_id"] = f"{about.span_id:016x}"


def _may_send() -> bool:
    return not otlp.is_disabled() and usual_variable("OTEL_LOGS_EXPORTER") != "none"


def _collector(tls: TLSSettings) -> Any:
    from core.logs.collector import Collector

    return Collector(tls)


class _Front:
    """What every logger writes to, also one that was made before the settings were known."""

    def write(self, line: Event) -> None:
        _current[0].write(line)

    debug = info = warning = warn = error = exception = critical = fatal = write


#: The process's pipeline; the last one stays.
_current: list[Pipeline] = []
_front = _Front()


def _shape(logger: Any, method: str, event: Event) -> Any:
    return _current[0].shape(logger, method, event)


#: One list for good: loggers hold on to it.
_processors: list[Any] = [structlog.contextvars.merge_contextvars, _shape]


def configure_logging(settings: LogSettings, tls: TLSSettings | None = None, *, answers_on_stdout: bool = False) -> None:
    """Send structlog's and the standard library's records where the settings say. May be called again.

    Libraries are heard from a warning on, whatever the level is: below it they tell what must not be told, AWS's a call's
    headers, the database's a statement's values. `answers_on_stdout`: the process is a command whose answer goes to standard
    output, so that its log goes to standard error.

    Raises:
        SettingsError: lines go to a collector by an endpoint or a protocol that cannot be used.
    """
    pipeline = Pipeline(settings, tls or TLSSettings(), answers_on_stdout=answers_on_stdout)
    close_logging()
    _current[:] = [pipeline]
    # our own lines go straight out, past the standard library's records
    structlog.configure(
        processors=_processors,
        logger_factory=lambda *_: _front,
        wrapper_class=structlog.make_filtering_bound_logger(pipeline.level),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    handler = Foreign(pipeline.line, pipeline.write)
    root.handlers[:] = [handler]
    for each in (root, handler):
        each.setLevel(max(logging.WARNING, _NUMBERS[settings.level]))
    # of a database that does not hear that a statement is to be ended, it warns each time; that it is away is told once, by us
    logging.getLogger("psycopg").setLevel(logging.ERROR)
    logging.captureWarnings(True)


def close_logging() -> None:
    """Tell what was counted, and let what waits leave. Lines are taken all the same afterwards."""
    for pipeline in _current:
        pipeline.close()
