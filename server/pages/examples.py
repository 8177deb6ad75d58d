"""Examples of each capability, ready to copy: as a REST call and over RemoteRunnable."""

import json
import shlex
from dataclasses import dataclass
from pprint import pformat
from typing import Any

from chains import CHAINS
from chains.spec import ChainSpec


@dataclass(frozen=True, slots=True)
class Operation:
    """One served runnable: where it is, and how it is called."""

    name: str
    title: str
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
        try:
            groups.setdefault(name.partition("/")[0], []).append(_operation(CHAINS.load(name), base_url))
        except (ImportError, SyntaxError, AttributeError):  # until every part is there
            groups[name.partition("/")[0]].append(
                Operation(name, name, "Not there yet.", f"/api/v1/{name}", "#", "curl …", "…")
            )
    return tuple(Capability(name, tuple(operations)) for name, operations in groups.items())


def _operation(spec: ChainSpec, base_url: str) -> Operation:
    path = f"/api/v1/{spec.name}"
    return Operation(
        name=spec.name,
        title=spec.title,
        description=spec.description,
        path=path,
        playground=f"{path}/playground/",
        rest=_rest(base_url + path, spec.example),
        python=_python(base_url + path, spec),
    )


def _rest(url: str, example: dict[str, Any]) -> str:
    body = json.dumps(example, indent=2, ensure_ascii=False)
    return f'curl {url} \\\n  -H "Authorization: Bearer $GENAI_API_KEY" \\\n  --json {shlex.quote(body)}'


def _python(url: str, spec: ChainSpec) -> str:
    variable = spec.name.rpartition("/")[2]
    given = pformat(spec.example, width=76, sort_dicts=False)
    show = f"{variable}.invoke(\n    {given.replace(chr(10), chr(10) + '    ')}\n)"
    return (
        f"import os\n\nfrom langserve import RemoteRunnable\n\n"
        f'{variable} = RemoteRunnable(\n    "{url}",\n'
        f'    headers={{"Authorization": f"Bearer {{os.environ[\'GENAI_API_KEY\']}}"}},\n)\n'
        f"answer = {show}\nprint(answer)"
    )
