"""What metrics have in common: options that are checked, a signature, and what an example says that a right answer is."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError

from evals.base import Example, Outcome, Score


class Options(BaseModel):
    """What can be set for a metric: a base."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Scoring(ABC):
    """A base: a subclass says its name and its options, and writes `measure` for outcomes that did not fail.

    Raises:
        ValueError: options that it does not take; the message names the option and may be shown.
    """

    name: ClassVar[str]
    higher_is_better: ClassVar[bool] = True
    options_type: ClassVar[type[Options]] = Options
    #: Raised with what changes values; a part of the signature.
    revision: ClassVar[int] = 1

    def __init__(self, **options: Any) -> None:
        try:
            self.options: Any = self.options_type.model_validate(options)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"])) or "options"
            raise ValueError(f"{where}: {first['msg'].removeprefix('Value error, ')}") from None

    @cached_property
    def signature(self) -> str:
        """The metric, its revision, what it stands on, and its options where they are not the usual ones."""
        set_here = self.options.model_dump(mode="json", exclude_defaults=True)
        parts = [self.name, f"r{self.revision}", *self.stands_on()]
        parts += [f"{name}={json.dumps(value, sort_keys=True)}" for name, value in sorted(set_here.items())]
        return "|".join(parts)

    def stands_on(self) -> list[str]:
        """Packages and models with their versions, on which values depend beside the options."""
        return []

    async def score(self, outcome: Outcome) -> Score:
        """What `evals.base.Metric` promises."""
        if outcome.error is not None:
            return Score.unmeasured(outcome.error)
        if outcome.output != _encodable(outcome.output):
            return Score.unmeasured("not_text")  # half a character, which neither packages nor providers take
        return await self.measure(outcome)

    @abstractmethod
    async def measure(self, outcome: Outcome) -> Score:
        """The score of an outcome that has an output."""


def references(example: Example) -> list[str]:
    """The right answers that an example names: its `expected`, or each of them where that is a list. What is no text is as JSON
    writes it. Empty: it names none."""
    expected = example.expected
    if expected is None:
        return []
    several = expected if isinstance(expected, list | tuple) else [expected]
    texts = (one if isinstance(one, str) else json.dumps(one, ensure_ascii=False, sort_keys=True) for one in several)
    return [_encodable(text) for text in texts]


def question(example: Example) -> str:
    """What was asked, as a reader is shown it: the input's text, the last message of a conversation, or all as JSON."""
    return _encodable(_asked(example.input))


def _asked(given: Mapping[str, Any]) -> str:
    for name in ("question", "prompt", "text", "query", "input"):
        if isinstance(given.get(name), str):
            return str(given[name])
    messages = given.get("messages")
    if isinstance(messages, list) and messages and isinstance(messages[-1], Mapping):
        content = messages[-1].get("content")
        if isinstance(content, str):
            return content
    return json.dumps(dict(given), ensure_ascii=False, default=str)


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def digest(text: str) -> str:
    """A few characters that change with the text, for signatures."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]
