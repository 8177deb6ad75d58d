"""Secrets that an answer shows once: a field of a route's answer that holds one says so, and nothing is kept of such an answer.

class MadeKey(KeyInfo):
    key: ShownOnce
"""

from collections.abc import Iterator
from functools import cache
from typing import Annotated, Any, Final, get_args, get_origin

from pydantic import BaseModel


class _Mark:
    """Stands beside the type of a field that holds a secret."""


_MARK: Final = _Mark()
#: A secret at the one moment when it is shown.
ShownOnce = Annotated[str, _MARK]


@cache
def shows_once(answer: Any) -> bool:
    """Whether an answer of this type may hold a secret."""
    return any(marked for _, _, marked in fields_of(answer))


def fields_of(answer: Any) -> Iterator[tuple[type[BaseModel], str, bool]]:
    """The fields of a type of answer and of all that is within it: model, name, and whether it holds a secret."""
    seen: set[type[BaseModel]] = set()
    models = list(_models(answer))
    while models:
        model = models.pop()
        if model in seen:
            continue
        seen.add(model)
        for name, field in model.model_fields.items():
            yield model, name, _MARK in field.metadata or _is_marked(field.annotation)
            models += _models(field.annotation)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


def _is_marked(annotation: Any) -> bool:
    if get_origin(annotation) is Annotated and _MARK in get_args(annotation)[1:]:
        return True
    return any(_is_marked(part) for part in get_args(annotation))
