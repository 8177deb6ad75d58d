"""The fixtures of `tests.desks` and `tests.collector`."""

from tests.collector import collector, sent, tracing
from tests.desks import desk, job_settings, models

__all__ = ["collector", "desk", "job_settings", "models", "sent", "tracing"]
