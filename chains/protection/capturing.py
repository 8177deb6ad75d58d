"""What was asked and answered, in a run's span: only where the operator has it captured, and without personal data.

It is searched for after the run, beside everything else: nobody waits for it, and the span is sent when it is done.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import orjson
from pydantic import BaseModel

from chains.protection.inputs import written
from chains.spec import Delta
from core import traces
from core.background import told
from core.errors import RateLimited
from core.redaction.analyser import Analyser
from core.redaction.replacement import redacted

if TYPE_CHECKING:
    from opentelemetry.trace import Span

#: Characters of a text that is captured. Half of one would be searched with half of a secret at its end.
LONGEST = 32_000
_TOO_LONG = "<TOO_LONG>"
_going_on: set["asyncio.Task[Any]"] = set()


class Captured:
    """Gathers a run's texts while it goes on; `ended` ends its span, a while later."""

    def __init__(self, span: "Span", analyser: Analyser, asked: Any) -> None:
        self._span, self._analyser = span, analyser
        self._asked = written(asked)
        self._pieces: list[str] = []
        self._quotes: list[str] = []

    def add(self, delta: Delta) -> None:
        """A piece of the answer."""
        if delta.text:
            self._pieces.append(delta.text)
        if delta.final is not None and not self._pieces:  # it came whole
            self._pieces.append(_output(delta.final))
        for citation in delta.data.get("citations") or ():
            if isinstance(quote := getattr(citation, "quote", None), str):
                self._quotes.append(quote)

    def ended(self, error: BaseException | None) -> None:
        """The run is over. On the event loop."""
        task = told(asyncio.get_running_loop().create_task(self._capture(error, time.time_ns())), "traces.capture")
        _going_on.add(task)
        task.add_done_callback(_going_on.discard)

    async def _capture(self, error: BaseException | None, at_ns: int) -> None:
        traces.mark(self._span, error)
        try:
            given = await self._clean([*self._asked.told, *self._asked.said])
            answer, *quotes = await self._clean(["".join(self._pieces), *self._quotes])
            self._span.set_attribute("gen_ai.input.messages", _as_messages("user", given))
            self._span.set_attribute("gen_ai.output.messages", _as_messages("assistant", [answer]))
            if quotes:
                self._span.set_attribute(
                    "gen_ai.retrieval.documents", orjson.dumps([{"content": each} for each in quotes]).decode()
                )
        except RateLimited:  # too many wait for the search for personal data: without it nothing is told
            pass
        finally:
            self._span.end(at_ns)

    async def _clean(self, texts: Iterable[str]) -> list[str]:
        """The texts with what is personal or secret in them replaced."""
        whole = [text if len(text) <= LONGEST else _TOO_LONG for text in texts]
        found = await self._analyser.adetect(whole)
        return [redacted(text, entities)[0] for text, entities in zip(whole, found, strict=True)]


def _output(final: Any) -> str:
    """The text of a whole answer: itself, a mapping's or a model's `output`, or a message's text."""
    if isinstance(final, str):
        return final
    output = final.get("output") if isinstance(final, Mapping) else getattr(final, "output", getattr(final, "text", None))
    return output.model_dump_json() if isinstance(output, BaseModel) else output if isinstance(output, str) else ""


def _as_messages(role: str, texts: Iterable[str]) -> str:
    """In the conventions' form."""
    return orjson.dumps([{"role": role, "parts": [{"type": "text", "content": text}]} for text in texts]).decode()
