"""Logs: one line an event, in three streams, from structlog and every library's own logger. How it is meant: `docs/logs.md`.

    log = structlog.get_logger()                      # the stream `application`
    log = structlog.get_logger(stream="security")     # what who watches over the platform's safety wants to see
    log.info("usage.settled", tokens=7)               # a name and fields, never a sentence with values in it

`core.audit` writes the stream `audit`. A line never makes its writer wait: not for a full pipe,
not for a collector.
"""

from core.logs.pipeline import close_logging, configure_logging

__all__ = ["close_logging", "configure_logging"]
