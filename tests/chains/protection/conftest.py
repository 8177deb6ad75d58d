"""The fixtures of `tests.collector`."""

from tests.collector import collector, sent, tracing

__all__ = ["collector", "sent", "tracing"]
