"""What a caller wrote of a capability's input: what guards read, and personal data is looked for in."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import BaseModel

from chains.messages import Assistant, System, TextPart

#: Fields of the capabilities' inputs that hold texts. Another capability's are found by their type.
_TEXTS: Final = ("prompt", "suffix", "text", "question", "code", "instruction")
#: Fields of theirs that go to no model as text.
_ADDRESSES: Final = frozenset({"model", "session_id", "collection", "user", "reasoning_effort", "tool_choice"})
#: Characters up to which short texts are read together.
_TOGETHER: Final = 4000


@dataclass(frozen=True, slots=True)
class Written:
    """The texts of a request, by what they are.

    `said`: messages of users, results of tools, the capability's own fields. `told`: messages of the system and the model.
    `worded`: arguments of calls, descriptions and schemas of tools and answers, texts to stop at. `named`: identifiers of calls
    and names of tools, speakers and fields, which are no language.
    """

    said: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    worded: list[str] = field(default_factory=list)
    named: list[str] = field(default_factory=list)

    def without_blanks(self) -> "Written":
        """The same without texts that say nothing."""
        every = (self.said, self.told, self.worded, self.named)
        return Written(*([text for text in texts if text.strip()] for texts in every))

    def beside(self, own: frozenset[str]) -> list[str]:
        """What guards read beside what was said. `own` are the platform's own words: it may say them to the model."""
        told = [text for text in self.told if text.strip() not in own]
        return [*told, *together(self.worded), *together(self.named)]


def written(asked: Any) -> Written:
    """All that the caller wrote of a request."""
    found = Written()
    messages = getattr(asked, "messages", None)
    for message in messages if isinstance(messages, list) else ():
        _add_message(found, message)
    for name in _TEXTS:
        if isinstance(value := getattr(asked, name, None), str):
            found.said.append(value)
    if isinstance(asked, BaseModel):
        ours = messages is not None or any(hasattr(asked, name) for name in _TEXTS)
        for name, value in asked:
            if isinstance(value, str) and name not in _TEXTS and not (ours and name in _ADDRESSES):
                (found.worded if ours else found.said).append(value)
    _add_tooling(found, asked)
    return found.without_blanks()


def written_in(message: Any) -> Written:
    """The same of one message of a conversation."""
    found = Written()
    _add_message(found, message)
    return found.without_blanks()


def together(texts: Iterable[str]) -> list[str]:
    """Short texts put together, a blank line between them."""
    found: list[str] = []
    for text in texts:
        if found and len(found[-1]) + len(text) < _TOGETHER:
            found[-1] += f"\n\n{text}"
        else:
            found.append(text)
    return found


def _add_message(found: Written, message: Any) -> None:
    into = found.told if isinstance(message, (System, Assistant)) else found.said
    into.append(message.text())
    content = getattr(message, "content", "")
    texts = [] if isinstance(content, str) else [part.text for part in content if isinstance(part, TextPart)]
    if len(texts) > 1:  # providers read the parts as one text
        into.append("".join(texts))
    found.named.extend(name for name in (getattr(message, "name", None), getattr(message, "tool_call_id", None)) if name)
    for call in getattr(message, "tool_calls", ()):
        found.named.extend(name for name in (call.id, call.name) if name)
        found.worded.append(call.arguments if call.arguments is not None else json.dumps(call.args, ensure_ascii=False))


def _add_tooling(found: Written, asked: Any) -> None:
    stop = getattr(asked, "stop", None)
    found.worded.extend([stop] if isinstance(stop, str) else stop or ())
    found.named.extend(each.name for each in getattr(asked, "documents", None) or () if getattr(each, "name", None))
    for tool in getattr(asked, "tools", None) or ():
        _add_schema(found, tool.function.name, tool.function.description, tool.function.parameters)
    chosen = getattr(getattr(asked, "tool_choice", None), "function", None)
    found.named.extend([] if chosen is None else [chosen.name])
    schema = getattr(getattr(asked, "response_format", None), "json_schema", None)
    if schema is not None:
        _add_schema(found, schema.name, schema.description, schema.schema_)


def _add_schema(found: Written, name: str, description: str | None, schema: Any) -> None:
    found.named.append(name)
    found.worded.append(description or "")
    for text, is_name in _strings(schema):
        (found.named if is_name else found.worded).append(text)


def _strings(schema: Any) -> Iterator[tuple[str, bool]]:
    """The strings of a schema, and whether each is a name of something."""
    waiting = [schema]
    while waiting:  # a schema may be nested deeper than calls may be
        value = waiting.pop()
        if isinstance(value, str):
            yield value, False
        elif isinstance(value, Mapping):
            for key, item in value.items():
                yield str(key), True
                if not (key == "type" and isinstance(item, str)):
                    waiting.append(item)
        elif isinstance(value, (list, tuple)):
            waiting.extend(value)
