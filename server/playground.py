"""What LangServe's playground pages need from us: a form that is filled in, answers and refusals that a person can read.

The pages post their form to `/stream_log` and show what its patches make of `streamed_output` and `final_output`. Nobody
else uses that address: it is served to the playground's cookie alone, so its answers are made for reading.
"""

import json
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from html import escape
from typing import Any
from uuid import uuid4

from chains.root import OpaqueRoot
from chains.spec import ChainSpec
from server.error_responses import as_platform_error
from server.streams import event

_HEAD = b'<link rel="stylesheet" href="/static/playground.css"></head>'
_SCRIPT = b'<script src="/static/playground.js"></script>'
_TITLE = re.compile(rb"<title>[^<]*</title>")
_ACCOUNTING = ("model", "provider", "usage", "cost_usd")


#: How a page's reply ends that `patches` could not finish.
_REFUSED = re.compile(r"(?:\A|\n\n)⚠ [^\n]* \([a-z_]+\)\Z")


def form_schema(spec: ChainSpec, schema: dict[str, Any], aliases: list[str]) -> dict[str, Any]:
    """The input's JSON schema as the form shows it: what must be given and the example's fields, with its
    values, the model to choose, and files.

    The form has no widget for a choice of types, so the first that is not null is shown.
    """
    properties = schema.get("properties", {})
    shown: dict[str, Any] = {}
    for name, field in properties.items():
        if is_file(field):
            shown[name] = {"type": "string", "title": field.get("title", name), "extra": field["extra"]}
            if sample := _sample(spec, name):
                shown[name]["default"] = sample
        elif name == "model":
            shown[name] = {"type": "string", "title": "Model", "enum": aliases, "default": aliases[0]}
        elif name in spec.example or name in schema.get("required", ()):
            plain: dict[str, Any] = next((kind for kind in field.get("anyOf", ()) if kind.get("type") != "null"), {})
            shown[name] = {key: value for key, value in field.items() if key not in ("anyOf", "default", "examples")} | plain
            if name in spec.example:
                shown[name]["default"] = spec.example[name]
    required = [name for name in schema.get("required", ()) if name in shown]
    return {**schema, "properties": shown, "required": required}


def without_default(form: dict[str, Any], name: str) -> dict[str, Any]:
    """The form with that field empty."""
    fields = form["properties"]
    field = {key: value for key, value in fields[name].items() if key != "default"}
    return {**form, "properties": {**fields, name: field}}


def is_file(field: Mapping[str, Any]) -> bool:
    """Whether a field's schema is marked as one that is picked from disk."""
    extra = field.get("extra")
    return isinstance(extra, Mapping) and extra.get("widget", {}).get("type") == "base64file"


def _sample(spec: ChainSpec, name: str) -> str | None:
    """The example's file, in base64, that a form is filled in with."""
    given = spec.example.get(name)
    return given[0] if isinstance(given, list) and given and isinstance(given[0], str) else None


def from_form(spec: ChainSpec, schema: Mapping[str, Any], value: Any) -> Any:
    """The form's data as the capability's input: a picked file, one text in base64, into the list that the field is.

    Empty fields are as good as none, but for files: an empty one was picked, and is refused as such. The sample file that the
    form came with gives way to any other file. A conversation goes on without the turns that were refused.
    """
    if not isinstance(value, Mapping):
        return value
    picked = {name for name, field in schema.get("properties", {}).items() if is_file(field)}
    data = {name: item for name, item in value.items() if item is not None and (item != "" or name in picked)}
    if spec.playground == "chat" and isinstance(data.get("messages"), list):
        data["messages"] = _answered(data["messages"])
    files = {name for name in picked if isinstance(data.get(name), str)}
    samples = {name for name in files if data[name] == _sample(spec, name)}
    for name in samples if files - samples else ():
        del data[name]
    for name, field in schema.get("properties", {}).items():
        if name in files and name in data:
            data[name] = [{"data": data[name]} if _holds_objects(schema, field) else data[name]]
    return data


def _answered(messages: list[Any]) -> list[Any]:
    """The messages without those that were refused, and without the refusals, which the page shows as replies."""
    kept: list[Any] = []
    for message in messages:
        said = message.get("content") if isinstance(message, Mapping) and message.get("type") == "ai" else None
        if not (isinstance(said, str) and _REFUSED.search(said)):
            kept.append(message)
        elif kept and isinstance(kept[-1], Mapping) and kept[-1].get("type") == "human":
            kept.pop()
    return kept


def _holds_objects(schema: Mapping[str, Any], field: Mapping[str, Any]) -> bool:
    lists = [kind for kind in (field, *field.get("anyOf", ())) if kind.get("type") == "array"]
    items = lists[0].get("items", {}) if lists else {}
    if "$ref" in items:
        items = schema.get("$defs", {}).get(items["$ref"].rpartition("/")[2], {})
    return bool(items.get("type") == "object")


def page(spec: ChainSpec, html: bytes) -> bytes:
    """The playground's page with our own in it: the capability's title, a style that knows the dark and small screens, and a
    script that shows refusals, the sample file, and the way back to the front page."""
    html = html.replace(b"<html", f'<html data-page="{spec.playground}"'.encode(), 1).replace(b"</head>", _HEAD, 1)
    html = _TITLE.sub(f"<title>{escape(spec.title)} · GenAI Platform</title>".encode(), html, count=1)
    return html.replace(b"</body>", _SCRIPT + b"</body>", 1)


async def patches(root: OpaqueRoot, value: Any, *, whole_text: bool) -> AsyncGenerator[bytes, None]:
    """The events that the page is made of: text as it comes, then the rest in words. An error is text, too.

    `whole_text` keeps `final_output`, which the chat playground shows, up to date with each piece.
    """
    yield _patch("replace", "", {"id": str(uuid4()), "streamed_output": [], "final_output": None, "logs": {}})
    text = ""
    try:
        async with aclosing(root.answer(value)) as deltas:
            async for delta in deltas:
                if delta.final is not None and _replaces(delta.final, text):
                    text = ""
                    yield _patch("replace", "/streamed_output", [])
                piece = delta.text if delta.final is None else _rest(delta.final, text)
                text += piece
                if piece and whole_text:
                    yield _patch("replace", "/final_output", text)
                elif piece:
                    yield _patch("add", "/streamed_output/-", piece)
    except Exception as error:  # noqa: BLE001 - the page shows it
        shown = as_platform_error(error)
        words = ("\n\n" if text else "") + f"⚠ {shown.message} ({shown.code})"
        yield _patch("add", "/streamed_output/-", words)
        yield _patch("replace", "/final_output", text + words)
    yield event("end")


def _patch(operation: str, path: str, value: Any) -> bytes:
    return event("data", {"ops": [{"op": operation, "path": path, "value": value}]})


def _replaces(final: Mapping[str, Any], text: str) -> bool:
    """Whether the streamed text was a draft: the answer does not begin with it."""
    return bool(text) and not (isinstance(final["output"], str) and final["output"].startswith(text))


def _rest(final: Mapping[str, Any], text: str) -> str:
    """What a person still wants to read after the streamed text: the answer's other fields, who answered and what it took."""
    output = final["output"]
    parts: list[str] = []
    if isinstance(output, str):
        if output != text:
            parts.append(output.removeprefix(text))
    else:
        parts.append(_in_words(output))
    # what is as always needs no word, and a refusal says itself that nothing was answered
    others = {
        name: value
        for name, value in final.items()
        if name not in ("output", "answered", *_ACCOUNTING) and value not in (None, [], {}) and value is not False
    }
    if citations := others.pop("citations", None):
        parts.append("\n".join(_citation(number, one) for number, one in enumerate(citations, start=1)))
    if nearest := others.pop("nearest", None):
        near = (_citation(number, one) for number, one in enumerate(nearest, start=1))
        parts.append("\n".join(("Closest in the collection, which may not answer it:", *near)))
    calls = others.pop("tool_calls", None)
    parts += [f"→ {call['name']}({json.dumps(call['args'])})" for call in calls or ()]
    if set(final) - {"output", "finish_reason", "session_id", *_ACCOUNTING}:
        parts += [f"{name}: {_in_words(value)}" for name, value in others.items()]
        used = final["usage"]
        if final["model"]:
            parts.append(f"— {final['model']} at {final['provider']}, {used['input_tokens']} + {used['output_tokens']} tokens")
    return ("\n\n" if text and parts else "") + "\n\n".join(parts)


def _citation(number: int, one: Any) -> str:
    page_number = f", page {one['page']}" if one.get("page") else ""
    return f"[{number}] {one.get('document')}{page_number}: “{one.get('quote')}”"


def _item(item: Mapping[str, Any]) -> str:
    """One of a list on a line: `line 2, warning: eval runs what it is given` for a place in code, else names and values."""
    told = {name: value for name, value in item.items() if value is not None}
    text = next((name for name in ("message", "signature") if name in told), None)
    if text is None or "line" not in told:
        return ", ".join(f"{name} {value}" for name, value in told.items())
    return f"line {told['line']}{', ' + str(told['severity']) if 'severity' in told else ''}: {told[text]}"


def _in_words(value: Any) -> str:
    if isinstance(value, Mapping):
        return "\n".join(
            f"{name}:\n{item}" if isinstance(item, str) and "\n" in item else f"{name}: {_in_words(item)}"
            for name, item in value.items()
            if item not in (None, "", [])
        )
    if isinstance(value, list):
        return "\n".join(f"• {_item(item) if isinstance(item, Mapping) else item}" for item in value)
    return value if isinstance(value, str) else json.dumps(value)
