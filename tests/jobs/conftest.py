"""The fixtures of `tests.desks`."""

from tests.desks import desk, job_settings, models

__all__ = ["desk", "job_settings", "models"]
