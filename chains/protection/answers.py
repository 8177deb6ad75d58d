"""An answer on its way to the caller: its personal data handled, and read by guards, before any of it leaves.

Text is held back in windows: a piece goes out once what stands round it has been judged. All that comes beside the text
(citations, calls of tools) waits for the end, where the whole answer is judged once more.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final

import orjson
from langchain_core.messages import AIMessage
from langchain_core.messages.tool import invalid_tool_call, tool_call_chunk
from pydantic import BaseModel

from chains.guards.base import OVERLAP
from chains.protection.guarding import Posted, ask
from chains.spec import Delta
from core.policies.policy import PIIMode, Place, Side
from core.policies.privacy import Modes, Passing, Privacy
from core.redaction.entities import Entity
from core.redaction.streaming import StreamRedactor
from providers.privacy import is_json

#: Fields that name things of the platform's own, or come from a closed set.
_NAMES: Final = frozenset({"document_id", "id", "language", "severity", "source", "type", "vision", "page", "finish_reason"})
#: What may be told at once: it holds no text.
_HARMLESS: Final = frozenset({"usage_metadata", "finish_reason", "answered", "vision", "refusal"})


class Answering:
    """One answer. `modes` are the rules for personal data in answers, `posted` the guards of outputs."""

    def __init__(self, privacy: Privacy, modes: Mapping[Place, Modes], posted: Sequence[Posted], asked: Any) -> None:
        self._passing = privacy.passing(modes, first=Place.ANSWERS, exempt=True) if modes else None
        self._changes = any(mode is not PIIMode.DETECT for mode in modes.get(Place.ANSWERS, {}).values())
        self._redactor = StreamRedactor(privacy.analyser, self._replace) if self._changes else None
        self._monitoring = [each for each in posted if not each.blocks]
        self._blocking = [each for each in posted if each.blocks]
        #: Names of tools that the caller offered: its own words.
        self._offered = frozenset(tool.function.name for tool in getattr(asked, "tools", None) or ())
        wanted = getattr(asked, "response_format", None)
        #: A document is judged, and stays valid, as a whole alone.
        self._whole = any(each.guard.whole for each in self._blocking) or (
            self._changes and wanted is not None and wanted.type != "text"
        )
        self._window = max((each.guard.window for each in self._blocking), default=0)
        self._raw: list[str] = []
        self._written: list[str] = []
        self._held = ""
        self._judged = ""
        self._data: dict[str, Any] = {}
        self._calls = False

    @property
    def _holds(self) -> bool:
        return self._changes or bool(self._blocking)

    async def of(self, deltas: AsyncGenerator[Delta, None]) -> AsyncGenerator[Delta, None]:
        """The deltas as they may leave.

        Raises:
            PersonalDataBlocked, GuardBlocked: nothing of what is at fault has left.
        """
        async with aclosing(deltas):
            async for delta in deltas:
                if delta.final is not None:
                    async for last in self._end(delta):
                        yield last
                    return
                text = await self._text(delta.text) if delta.text else ""
                data = self._beside(delta.data) if self._holds else delta.data
                if text or data:
                    yield Delta(text=text, data=data)

    def _beside(self, data: dict[str, Any]) -> dict[str, Any]:
        """What may be told at once; the rest is kept for the end. Pieces of calls come whole then; log probabilities, which are
        of each token, not at all."""
        self._calls |= "tool_call_chunks" in data
        for name, value in data.items():
            if name not in _HARMLESS and name not in ("tool_call_chunks", "logprobs"):
                self._data[name] = value
        return {name: value for name, value in data.items() if name in _HARMLESS}

    async def _text(self, piece: str) -> str:
        self._raw.append(piece)
        if not self._whole and self._changes and len(self._raw) == 1:
            self._whole = is_json(piece)
        if self._whole:
            return ""
        return await self._judge(await self._redactor.feed(piece) if self._redactor is not None else piece)

    async def _judge(self, piece: str, *, end: bool = False) -> str:
        """Hold a piece back until the guards that block have read it with what stands round it."""
        if not self._blocking:
            self._written.append(piece)
            return piece
        self._held += piece
        if not self._held or (not end and len(self._held) < self._window + OVERLAP):
            return ""
        await ask(self._blocking, [self._judged + self._held], Side.OUTPUTS)
        cut = len(self._held) if end else len(self._held) - OVERLAP
        said, self._held = self._held[:cut], self._held[cut:]
        self._judged = (self._judged + said)[-OVERLAP:]
        self._written.append(said)
        return said

    async def _end(self, delta: Delta) -> AsyncGenerator[Delta, None]:
        """The rest of the text, what was kept beside it, and the whole answer."""
        if delta.text:
            self._raw.append(delta.text)
        raw, rest = "".join(self._raw), delta.text
        known: dict[str, str] = {}
        if raw and not self._whole and self._holds:
            rest = await self._judge(await self._last(delta.text), end=True)
            known[raw] = "".join(self._written)
        data = self._data | {name: value for name, value in delta.data.items() if name not in ("tool_call_chunks", "logprobs")}
        final = delta.final
        if self._passing is not None:
            final = await self._rewritten(final, known)
            if self._changes:
                data = {name: value if name in _HARMLESS else await self._walked(value, known) for name, value in data.items()}
            self._passing.told()
        if self._whole and self._holds and raw:
            rest = _output(final, raw)
        await self._judge_whole(final, known)
        if self._calls and isinstance(final, AIMessage):
            data["tool_call_chunks"] = [*_chunks(final)]
        if not self._holds:
            yield Delta(text=delta.text, data=delta.data, final=final)
            return
        if rest:
            yield Delta(text=rest)
        yield Delta(data=data, final=final)

    async def _last(self, piece: str) -> str:
        if self._redactor is None:
            return piece
        said = await self._redactor.feed(piece) if piece else ""
        return said + await self._redactor.finish()

    async def _judge_whole(self, final: Any, known: Mapping[str, str]) -> None:
        """What no window has shown: a whole answer, fields, calls. Guards that monitor read it here alone."""
        texts = _texts_of(final)
        read = set(known.values())
        for each in self._blocking:
            some = texts[:1] if each.guard.whole else [text for text in texts if text not in read]
            await ask([each], some, Side.OUTPUTS)
        for each in self._monitoring:
            await ask([each], texts[:1] if each.guard.whole else texts, Side.OUTPUTS)

    # --- personal data ------------------------------------------------------------------------------------------------------

    def _replace(self, text: str, entities: Sequence[Entity]) -> tuple[str, list[str]]:
        return self._rules.handled(text, entities), []

    @property
    def _rules(self) -> Passing:
        assert self._passing is not None  # noqa: S101 - asked for where there are rules
        return self._passing

    async def _rewritten(self, final: Any, known: Mapping[str, str]) -> Any:
        if not isinstance(final, AIMessage):
            return await self._walked(final, known)
        news: dict[str, Any] = {"content": await self._walked(str(final.text), known)}
        news["tool_calls"] = [
            call | {"name": await self._name(call["name"]), "args": await self._rules.value(call["args"])}
            for call in final.tool_calls
        ]
        news["invalid_tool_calls"] = [
            invalid_tool_call(
                name=await self._name(call["name"]),
                args=await self._rules.text(call["args"] or ""),
                id=call["id"],
                error="no JSON",
            )
            for call in final.invalid_tool_calls
        ]
        if self._changes:
            told = {name: value for name, value in final.response_metadata.items() if name != "logprobs"}
            news["response_metadata"] = told
        return final.model_copy(update=news)

    async def _name(self, name: str | None) -> str:
        """The name of a tool as it may leave: one that nobody offered is the model's own text."""
        said = name or ""
        return said if said in self._offered else await self._rules.text(said)

    async def _walked(self, value: Any, known: Mapping[str, str]) -> Any:
        """The value with its texts handled; models as mappings."""
        if isinstance(value, str):
            return known[value] if value in known else await self._rules.text(value)
        if isinstance(value, BaseModel):
            value = value.model_dump(mode="json")
        if isinstance(value, Mapping):
            return {
                name: item if name in _NAMES and not isinstance(item, (Mapping, list)) else await self._walked(item, known)
                for name, item in value.items()
            }
        if isinstance(value, (list, tuple)):
            return [await self._walked(item, known) for item in value]
        return value


def _output(final: Any, raw: str) -> str:
    """The text of an answer that was held back whole; where the answer is none, what was said on the way is not told."""
    if isinstance(final, AIMessage):
        return str(final.text)
    if isinstance(final, str):
        return final
    if isinstance(final, BaseModel):
        final = final.model_dump(mode="json")
    said = final.get("output") if isinstance(final, Mapping) else None
    return said if isinstance(said, str) and raw else ""


def _texts_of(final: Any) -> list[str]:
    """The texts of an answer, its main one first."""
    if isinstance(final, AIMessage):
        calls = [orjson.dumps(call["args"]).decode() for call in final.tool_calls]
        called = [*final.tool_calls, *final.invalid_tool_calls]
        names = "\n".join(word for call in called for word in (call["name"], call["id"]) if word)
        return [str(final.text), *calls, *(call["args"] or "" for call in final.invalid_tool_calls), names]
    if isinstance(final, BaseModel):
        final = final.model_dump(mode="json")
    if not isinstance(final, Mapping):
        return [str(final)]
    main = final.get("output")
    told = [main if isinstance(main, str) else orjson.dumps(main, default=_plain).decode()]
    rest = {name: value for name, value in final.items() if name != "output"}
    return [*told, *_strings(rest)]


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return [text for name, item in value.items() if name not in _NAMES for text in _strings(item)]
    if isinstance(value, (list, tuple)):
        return [text for item in value for text in _strings(item)]
    return []


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json")


def _chunks(message: AIMessage) -> list[Any]:
    calls: list[Any] = [(call["name"], orjson.dumps(call["args"]).decode(), call["id"]) for call in message.tool_calls]
    calls += [(call["name"], call["args"], call["id"]) for call in message.invalid_tool_calls]
    return [tool_call_chunk(name=name, args=args, id=id_, index=index) for index, (name, args, id_) in enumerate(calls)]
