"""The standard library's loggers (uvicorn's, Dramatiq's, the SDKs', Python's warnings) as lines of the platform."""

import logging
import threading
from collections.abc import Callable, MutableMapping
from typing import Any

import structlog

Event = MutableMapping[str, Any]

_STANDARD = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__) | {"message", "asctime", "taskName"}
#: What sends to the collector must not be told to it.
_SENDING = "OtelBatch"


class Foreign(logging.Handler):
    """Gives each record to the same pipeline. The event is the logger's name, its sentence the field `message`."""

    def __init__(self, line: Callable[[Event, str], Event | None], write: Callable[[Event], None]) -> None:
        super().__init__()
        self._line, self._write = line, write

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record. Raises nothing."""
        if threading.current_thread().name.startswith(_SENDING):
            return
        try:
            event: dict[str, Any] = {name: value for name, value in record.__dict__.items() if name not in _STANDARD}
            event |= structlog.contextvars.get_contextvars()
            event |= {
                "event": record.name,
                "message": record.getMessage(),
                "_template": str(record.msg),
                "stream": "application",
            }
            if record.exc_info:
                event["exc_info"] = record.exc_info
            line = self._line(event, _level(record.levelno))
            if line is not None:
                self._write(line)
        except Exception:  # noqa: BLE001 - a line that cannot be written takes nothing else with it
            self._write_failed(record)

    def _write_failed(self, record: logging.LogRecord) -> None:
        line = self._line({"event": record.name, "message": "(a record that cannot be shown)"}, _level(record.levelno))
        if line is not None:
            self._write(line)


def _level(number: int) -> str:
    for level, least in (("critical", 50), ("error", 40), ("warning", 30), ("info", 20)):
        if number >= least:
            return level
    return "debug"
