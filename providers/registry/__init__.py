"""The model registry: versions of aliases and prompts in the database, which of them requests go by, and what has changed."""

from providers.editions import Assignments

__all__ = ["Assignments"]
