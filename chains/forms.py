"""How a capability's deltas become what callers of its runnable see: chunks of a stream, the whole answer, the flat answer.

A form lives for one run. The chunks of a stream, added together, equal the whole answer.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from langchain_core.runnables.utils import AddableDict
from pydantic import BaseModel, Field

from chains.spec import Delta
from core.context import RequestContext


class AnswerForm(Protocol):
    """`whole` is given the final value that the capability's code yielded and the context that its model calls wrote into."""

    def chunk(self, delta: Delta) -> Any | None:
        """What a delta adds to the stream; None where it adds nothing."""
        ...

    def whole(self, final: Any, run: RequestContext) -> Any:
        """What `invoke` returns."""
        ...

    def rest(self, whole: Any) -> Any | None:
        """The last chunk: what the whole has and the chunks so far have not."""
        ...

    def flat(self, whole: Any) -> dict[str, Any]:
        """The capability's own fields of the flat answer; `output` is always one of them."""
        ...


class TokenUsage(BaseModel):
    """Tokens of all model calls of one answer."""

    input_tokens: int
    output_tokens: int
    total_tokens: int


class Accounted(BaseModel):
    """What stands beside the fields of every answer that is a mapping: a base for models of such answers."""

    model: str | None = Field(None, description="the model that answered; null when none was called")
    provider: str | None = None
    usage: TokenUsage | None = None
    cost_usd: float | None = Field(None, description="null when no price is known")
    pii: dict[str, dict[str, int]] | None = Field(None, description="by place and type, where a policy looks for personal data")


def accounting(run: RequestContext) -> dict[str, Any]:
    """Who answered and what it took: the fields that every flat answer carries. `cost_usd` is None where no price is known,
    `pii` is there where a policy found personal data."""
    found = {"pii": run.pii} if run.pii else {}
    return found | {
        "model": run.model,
        "provider": run.provider,
        "usage": {
            "input_tokens": run.usage.input_tokens,
            "output_tokens": run.usage.output_tokens,
            "total_tokens": run.usage.total_tokens,
        },
        "cost_usd": None if run.cost_usd is None else float(run.cost_usd),
    }


class DictForm:
    """An answer with named fields. Text goes into `text_key` piece by piece; all else comes once, at the latest at the end.

    `text_key` other than `output` is for text that leads to the answer but is not a part of it: it is in the stream alone.
    """

    def __init__(self, text_key: str = "output") -> None:
        self.text_key = text_key
        self._text = ""
        self._sent: set[str] = set()

    def chunk(self, delta: Delta) -> AddableDict | None:
        fields: dict[str, Any] = {name: _plain(value) for name, value in delta.data.items() if name not in self._sent}
        self._sent.update(fields)
        if delta.text:
            self._text += delta.text
            fields[self.text_key] = delta.text
        return AddableDict(fields) if fields else None

    def whole(self, final: Any, run: RequestContext) -> AddableDict:
        return AddableDict(accounting(run) | _plain(final))

    def rest(self, whole: Any) -> AddableDict | None:
        fields = {name: value for name, value in whole.items() if name not in self._sent}
        if self._text and self.text_key in fields:
            # text is never sent twice; what the answer has beyond the streamed text is
            remaining = fields.pop(self.text_key).removeprefix(self._text)
            if remaining and whole[self.text_key] != remaining:
                fields[self.text_key] = remaining
        return AddableDict(fields) if fields else None

    def flat(self, whole: Any) -> dict[str, Any]:
        return dict(whole)


class TextForm:
    """An answer that is a string."""

    def __init__(self) -> None:
        self._text = ""

    def chunk(self, delta: Delta) -> str | None:
        self._text += delta.text
        return delta.text or None

    def whole(self, final: Any, run: RequestContext) -> str:
        return str(final)

    def rest(self, whole: Any) -> str | None:
        return (whole.removeprefix(self._text) or None) if whole.startswith(self._text) else None

    def flat(self, whole: Any) -> dict[str, Any]:
        return {"output": whole}


def _plain(value: Any) -> Any:
    """The value as JSON would carry it, so that an answer is the same here and at the other end of a connection."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
