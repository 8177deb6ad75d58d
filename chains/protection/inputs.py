"""The texts of a capability's input that a person or a program wrote: what guards read, and personal data is looked for in."""

from collections.abc import Iterator
from typing import Any, Final

from pydantic import BaseModel

from chains.messages import Assistant, System

#: Fields of the capabilities' inputs that hold texts. Another capability's are found by their type.
_TEXTS: Final = ("prompt", "suffix", "text", "question", "code", "instruction")


def texts_of(asked: Any, *, everybody: bool = False) -> list[str]:
    """The texts, in order. Of messages those of users and tools; with `everybody` those of the system and the model as well."""
    return [text for text in _texts(asked, everybody) if text.strip()]


def _texts(asked: Any, everybody: bool) -> Iterator[str]:
    messages = getattr(asked, "messages", None)
    for message in messages if isinstance(messages, list) else ():
        if everybody or not isinstance(message, (System, Assistant)):
            yield message.text()
    for name in _TEXTS:
        if isinstance(value := getattr(asked, name, None), str):
            yield value
    if isinstance(asked, BaseModel) and messages is None and not any(hasattr(asked, name) for name in _TEXTS):
        for value in asked.model_dump().values():
            if isinstance(value, str):
                yield value
