"""Topics: what a text may or must not be about, told by the likeness of its meaning to a few words for each topic.

The bundled embedding model compares, so nothing is sent anywhere for it.
"""

import asyncio
from typing import Annotated, Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, StringConstraints, model_validator

from chains.guards.base import Finding, Guard, Options
from chains.guards.readings import unescaped
from core.policies.policy import Side
from retrievers.sentences import units

Topic = Annotated[str, StringConstraints(min_length=2, max_length=300, strip_whitespace=True)]

#: Parts of a text that are compared at most, spread over it; characters of one, and up to how many sentences are put together.
_PARTS: Final = 24
_LONGEST: Final = 400
_TOGETHER: Final = 160


class TopicOptions(Options):
    """Topics in a few words each. With `allow`, a text that is about none of them is stopped."""

    deny: tuple[Topic, ...] = Field((), max_length=50)
    allow: tuple[Topic, ...] = Field((), max_length=50)
    threshold: float = Field(0.4, gt=0, lt=1, description="cosine similarity from which on a text is about a topic")

    @model_validator(mode="after")
    def _some(self) -> "TopicOptions":
        if not self.deny and not self.allow:
            raise ValueError("give topics to deny or to allow")
        return self


class Topics(Guard):
    """Objects to a text about a denied topic, or about no allowed one."""

    options_type = TopicOptions
    usual: ClassVar[tuple[Side, ...]] = (Side.INPUTS,)
    window: ClassVar[int] = 800

    def __init__(self, options: Options, models: Any) -> None:
        super().__init__(options, models)
        self._topics: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None

    async def read(self, text: str) -> Finding | None:
        said = parts(unescaped(text))
        return await asyncio.to_thread(self._compare, said) if said else None

    async def read_beside(self, text: str) -> Finding | None:
        """Whether it is about a denied topic: the description of a tool need not be about an allowed one."""
        said = parts(unescaped(text)) if self.options.deny else []
        return await asyncio.to_thread(self._compare, said, within=False) if said else None

    def _compare(self, said: list[str], *, within: bool = True) -> Finding | None:
        if self._topics is None:
            self._topics = self._embedded(self.options.deny), self._embedded(self.options.allow)
        denied, allowed = self._topics
        vectors = self._embedded(said)
        if len(denied):
            likeness = (vectors @ denied.T).max(axis=0)
            nearest = int(likeness.argmax())
            if likeness[nearest] >= self.options.threshold:
                return Finding(self.options.deny[nearest], round(float(likeness[nearest]), 2))
        if len(allowed) and within:
            likeness = float((vectors @ allowed.T).max())
            if likeness < self.options.threshold:
                return Finding("off_topic", round(1 - likeness, 2))
        return None

    def _embedded(self, texts: Any) -> NDArray[np.float32]:
        if not texts:
            return np.zeros((0, 1), dtype=np.float32)
        return np.asarray(self.models.comparing().embed_documents(list(texts)), dtype=np.float32)


def parts(text: str) -> list[str]:
    """A short text as it is; of a longer one its sentences, short ones together, which the whole would drown."""
    if len(text) <= _TOGETHER:
        return [text.strip()] if text.strip() else []
    found: list[str] = []
    for unit in units(text):
        sentence = text[unit.start : unit.end].strip()[:_LONGEST]
        if found and len(found[-1]) + len(sentence) < _TOGETHER:
            found[-1] += f" {sentence}"
        elif sentence:
            found.append(sentence)
    if len(found) <= _PARTS:
        return found
    step = len(found) / _PARTS
    return [found[int(number * step)] for number in range(_PARTS)]
