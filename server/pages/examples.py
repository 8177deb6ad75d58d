"""Examples of each capability, ready to copy: as a REST call and over RemoteRunnable."""

import json
from dataclasses import dataclass
from pprint import pformat
from typing import Any

from chains import CHAINS
from chains.spec import ChainSpec

#: Stands for the content of a file, which each language reads in its own way.
_FILE = "@file"
#: The picture of the examples that need one: served by the platform, so that they run as they are copied.
_PICTURE_NAME = "opening-hours.png"
_PICTURE = f"/static/{_PICTURE_NAME}"
_WITH_FILE: dict[str, dict[str, Any]] = {"multimodal": {"text": "When is it open?", "images": [_FILE]}}


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
        rest=_rest(base_url + path, example, base_url + _PICTURE),
        python=_python(base_url + path, spec.name.rpartition("/")[2], example, base_url + _PICTURE),
    )


def _rest(url: str, example: dict[str, Any], picture: str) -> str:
    body = json.dumps(example, indent=2, ensure_ascii=False).replace("'", "'\\''")
    first: list[str] = []
    if _FILE in body:
        body = body.replace(_FILE, f"'\"$(base64 < {_PICTURE_NAME} | tr -d '\\n')\"'")
        first = [f"curl -s {picture} -o {_PICTURE_NAME}", ""]
    return "\n".join(
        [
            *first,
            f"curl {url} \\",
            '  -H "Authorization: Bearer $GENAI_API_KEY" \\',
            '  -H "Content-Type: application/json" \\',
            f"  -d '{body}'",
        ]
    )


def _python(url: str, variable: str, example: dict[str, Any], picture: str) -> str:
    given = pformat(example, width=70, sort_dicts=False).replace("\n", "\n    ")
    lines = ["import os", "", "from langserve import RemoteRunnable", ""]
    if _FILE in given:
        given = given.replace(repr(_FILE), "picture")
        lines = ["import base64", "import os", "", "import httpx", "from langserve import RemoteRunnable", ""]
        lines += ['# or a picture of your own: Path("picture.png").read_bytes()', f'content = httpx.get("{picture}").content']
        lines += ["picture = base64.b64encode(content).decode()", ""]
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
