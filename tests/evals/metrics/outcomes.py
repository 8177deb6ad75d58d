"""Outcomes in few words."""

from typing import Any

from evals.base import Example, Outcome


def outcome(output: str = "", expected: Any = None, *, error: str | None = None, **more: Any) -> Outcome:
    """`question`, `context` and `labels` are the example's, all else the outcome's."""
    given = {"question": more.pop("question", "What is it?")}
    example = Example("e1", given, expected, more.pop("context", ()), more.pop("labels", {}))
    return Outcome(example, output, error=error, **more)
