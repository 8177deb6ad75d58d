"""JSON, lines of JSON, and notebooks: each value on a line of its own behind its path."""

import json
from collections.abc import Collection, Iterator
from typing import Any

from core.errors import UnreadableFile
from retrievers.base import LoadedDocument
from retrievers.loaders.assembly import Assembly
from retrievers.loaders.encoding import clean, decode
from retrievers.loaders.text import markdown_sections, source_document

MEDIA_TYPE = "application/json"
_MAX_PATH = 300
_TITLES = ("title", "name", "headline", "subject")


def load_json(data: bytes, name: str) -> LoadedDocument:
    """A list's members, and the lines of a JSONL file, become paragraphs of `path: value` lines, and so do the members of
    a list that an object holds, under its path as a heading. What turns out not to be JSON (comments in it, cut off) is read as
    source code instead.

    Raises:
        UnreadableFile: `file_too_complex` (nested too deep, or too much text).
    """
    text = decode(data).lstrip("\ufeff")
    try:
        value, lines = _parse(text)
    except RecursionError as error:
        raise UnreadableFile("The JSON is nested too deep.", code="file_too_complex") from error
    except ValueError:
        return source_document(clean(text), "json")
    if isinstance(value, dict) and isinstance(value.get("cells"), list) and "nbformat" in value:
        return _notebook(value)
    assembly = Assembly()
    for record in value if isinstance(value, list) else []:
        assembly.prose("\n".join(_flatten(record)))
    if not isinstance(value, list):
        lists = list(_lists(value))
        assembly.prose("\n".join(_flatten(value, apart={id(records) for _, records in lists})))
        for path, records in lists:
            assembly.heading(1, path)
            for record in records:
                assembly.prose("\n".join(_flatten(record)))
    title = None
    if isinstance(value, dict):
        title = next((value[key] for key in _TITLES if isinstance(value.get(key), str)), None)
    return assembly.document(MEDIA_TYPE, title=title, attributes={"records": str(len(value))} if lines else None)


def _parse(text: str) -> tuple[Any, bool]:
    """The value, and whether it was given as lines. Numbers stay as they are spelled."""
    try:
        return _loads(text), False
    except ValueError as error:
        if not str(error).startswith("Extra data"):
            raise
    return [_loads(line) for line in text.splitlines() if line.strip()], True


def _loads(text: str) -> Any:
    return json.loads(text, parse_int=str, parse_float=str, parse_constant=str)


def _lists(value: Any) -> Iterator[tuple[str, list[Any]]]:
    """The lists of objects that an object holds, itself or in an object within it, with their paths."""
    todo: list[tuple[str, Any]] = [("", value)]
    while todo:
        path, value = todo.pop()
        if isinstance(value, dict):
            todo.extend((_below(path, key), item) for key, item in reversed(value.items()))
        elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            yield path, value


def _flatten(value: Any, apart: Collection[int] = ()) -> Iterator[str]:
    """`path: value` lines of the leaves, in order, without what is `apart`, by identity. A list of plain values is one
    line."""
    todo: list[tuple[str, Any]] = [("", value)]
    while todo:
        path, value = todo.pop()
        if isinstance(value, dict) and value:
            todo.extend((_below(path, key), item) for key, item in reversed(value.items()))
        elif id(value) in apart:
            continue
        elif isinstance(value, list) and value and any(isinstance(item, dict | list) for item in value):
            todo.extend((f"{path}[{index}]"[:_MAX_PATH], value[index]) for index in reversed(range(len(value))))
        else:
            shown = ", ".join(map(_scalar, value)) if isinstance(value, list) else _scalar(value)
            if shown:
                yield f"{path}: {shown}" if path else shown


def _below(path: str, key: object) -> str:
    return f"{path}.{key}"[:_MAX_PATH] if path else str(key)


def _scalar(value: Any) -> str:
    if value is None or value in ({}, []):
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _notebook(notebook: dict[str, Any]) -> LoadedDocument:
    """A Jupyter notebook: its Markdown and its code, without outputs."""
    language = (notebook.get("metadata") or {}).get("language_info", {}).get("name", "python")
    assembly = Assembly()
    for cell in notebook["cells"]:
        if not isinstance(cell, dict):
            continue
        source = cell.get("source", "")
        source = clean("".join(map(str, source)) if isinstance(source, list) else str(source))
        if cell.get("cell_type") == "code":
            assembly.code(source, str(language))
        else:
            _markdown_into(assembly, source)
    return assembly.document(MEDIA_TYPE)


def _markdown_into(assembly: Assembly, text: str) -> None:
    for section in markdown_sections(text):
        part = text[section.start : section.end].strip()
        first, _, rest = part.partition("\n")
        if first.startswith("#") and section.heading:
            assembly.heading(len(first) - len(first.lstrip("#")), section.heading[-1])
            part = rest
        if section.kind == "code":
            assembly.code(part, section.language)
        else:
            assembly.prose(part)
