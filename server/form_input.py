"""A capability's input from a form: its files as files, its other fields as text."""

import asyncio
import base64
from typing import Any

import orjson
from pydantic import BaseModel
from starlette.datastructures import UploadFile
from starlette.requests import Request

from core.errors import InvalidRequest, UnsupportedMediaType
from server.playground import is_file
from server.uploads import read_form

_MOST_FILES = 20
_MOST_FIELDS = 30


def file_fields(input_type: type[BaseModel]) -> list[str]:
    """The input's fields that hold files."""
    properties = input_type.model_json_schema().get("properties", {})
    return [name for name, field in properties.items() if is_file(field)]


async def form_input(request: Request, input_type: type[BaseModel]) -> dict[str, Any]:
    """The body of a capability as its JSON would be: files in base64, each with its name where the field takes one; texts as
    they are, where they are no number, boolean or list.

    Raises:
        UnsupportedMediaType: the capability takes no files.
        InvalidRequest: `malformed_form`, `invalid_form`: a file under a name that holds none.
        TooLarge: more files than any capability takes.
    """
    fields = file_fields(input_type)
    if not fields:
        raise UnsupportedMediaType("Send JSON with `Content-Type: application/json`.")
    form = await read_form(request, max_files=_MOST_FILES, max_fields=_MOST_FIELDS)
    try:
        body: dict[str, Any] = {}
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                if name not in fields:
                    raise InvalidRequest(f"Files go into {' and '.join(fields)}.", code="invalid_form", param=name[:100])
                data = base64.b64encode(await value.read())
                given = await asyncio.to_thread(data.decode)
                body.setdefault(name, []).append({"name": value.filename, "data": given} if _named(input_type, name) else given)
            elif name in fields:
                body.setdefault(name, []).append(value)
            else:
                body[name] = _value(input_type, name, value)
        return body
    finally:
        await form.close()


def form_schema(input_type: type[BaseModel]) -> dict[str, Any]:
    """The form as the OpenAPI document describes it."""
    schema = input_type.model_json_schema()
    files = {name: {"type": "array", "items": {"type": "string", "format": "binary"}} for name in file_fields(input_type)}
    texts = {
        name: {"type": "string", "description": field.get("description", "")}
        for name, field in schema["properties"].items()
        if name not in files and (name in schema.get("required", ()) or name == "model")
    }
    stream = {"stream": {"type": "boolean", "description": "server-sent events, as with JSON"}}
    return {"type": "object", "required": schema.get("required", []), "properties": texts | files | stream}


def _named(input_type: type[BaseModel], name: str) -> bool:
    """Whether the field's items are objects, which carry the file's name."""
    items = input_type.model_json_schema()["properties"][name].get("items", {})
    return "$ref" in items


def _value(input_type: type[BaseModel], name: str, text: str) -> Any:
    """A field's text as the value that it stands for: `0.2`, `true` and `["a"]`; a field of text stays what it is."""
    field = input_type.model_json_schema()["properties"].get(name, {})
    kinds = [field.get("type"), *(kind.get("type") for kind in field.get("anyOf", ()))]
    if "string" in kinds:
        return text
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
