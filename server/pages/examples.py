"""Examples of each capability, ready to copy: as a REST call and over RemoteRunnable."""

import json
from dataclasses import dataclass
from pprint import pformat
from typing import Any

from chains import CHAINS
from chains.spec import ChainSpec

#: Stands for the content of the caller's own file, which each language reads in its own way.
_FILE = "@picture.png"
#: Where an example needs a file, which a spec cannot carry.
_WITH_FILE: dict[str, dict[str, Any]] = {"multimodal": {"text": "What does this picture say?", "images": [_FILE]}}


@dataclass(frozen=True, slots=True)
class Operation:
    """One served runnable: where it is, and how it is called."""

    name: str
    description: str
    path: str
    playground: str
    rest: str
    python: str


@dataclass(frozen=True, slots=True)
class Capability:
    """What the front page shows as one card: a runnable, or several that belong together (`code/…`)."""

    name: str
    operations: tuple[Operation, ...]


def capabilities(base_url: str) -> tuple[Capability, ...]:
    """All of them, in the order of the table; imports their modules."""
    groups: dict[str, list[Operation]] = {}
    for name in CHAINS:
        groups.setdefault(name.partition("/")[0], []).append(_operation(CHAINS.load(name), base_url))
    return tuple(Capability(name, tuple(operations)) for name, operations in groups.items())


def _operation(spec: ChainSpec, base_url: str) -> Operation:
    path = f"/api/v1/{spec.name}"
    example = _WITH_FILE.get(spec.name, spec.example)
    return Operation(
        name=spec.name,
        description=spec.description,
        path=path,
        playground=f"{path}/playground/",
        rest=_rest(base_url + path, example),
        python=_python(base_url + path, spec.name.rpartition("/")[2], example),
    )


def _rest(url: str, example: dict[str, Any]) -> str:
    body = json.dumps(example, indent=2, ensure_ascii=False).replace("'", "'\\''")
    body = body.replace(_FILE, "'\"$(base64 < picture.png | tr -d '\\n')\"'")
    return "\n".join(
        [
            f"curl {url} \\",
            '  -H "Authorization: Bearer $GENAI_API_KEY" \\',
            '  -H "Content-Type: application/json" \\',
            f"  -d '{body}'",
        ]
    )


def _python(url: str, variable: str, example: dict[str, Any]) -> str:
    given = pformat(example, width=70, sort_dicts=False).replace("\n", "\n    ")
    lines = ["import os", "", "from langserve import RemoteRunnable", ""]
    if _FILE in given:
        given = given.replace(repr(_FILE), "picture")
        lines[:1] = ["import base64", "import os", "from pathlib import Path"]
        lines += ['picture = base64.b64encode(Path("picture.png").read_bytes()).decode()']
    return "\n".join(
        [
            *lines,
            f"{variable} = RemoteRunnable(",
            f'    "{url}",',
            '    headers={"X-API-Key": os.environ["GENAI_API_KEY"]},',
            ")",
            f"answer = {variable}.invoke(\n    {given}\n)",
            "print(answer)",
        ]
    )
