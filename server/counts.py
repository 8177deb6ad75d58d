"""Numbers that callers send."""

from typing import Any


def no_boolean(value: Any) -> Any:
    """The value as it is: `true` is no 1.

    Raises:
        ValueError: it is a boolean.
    """
    if isinstance(value, bool):
        raise ValueError("a number, not a boolean")  # noqa: TRY004 - pydantic tells a ValueError to the caller
    return value
