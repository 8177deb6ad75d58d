"""Write what Terraform tells of an installation into its overlay:
`terraform output -json deployment | python -m infra.k8s.installation dev/aws`.

The overlay's `values.yaml`, `settings.env` and `newName`, and what Argo CD's overlay of the same place names; nothing else
changes. `second_deployment` goes into the overlays of `second`.
"""

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

INFRA = Path(__file__).parents[1]


class NotWritten(Exception):
    """Nothing was changed; the message says why."""


def write(infra: Path, place: str, deployment: Mapping[str, Any]) -> list[str]:
    """Change the overlay of a place (`dev/aws`) to what is told. The names of what changed.

    Raises:
        NotWritten: there is no such overlay, one of its files has no line for what is told, or too little is told.
    """
    overlay, argocd = (infra / directory / "overlays" / place for directory in ("k8s", "argocd"))
    if not (overlay / "kustomization.yaml").is_file():
        raise NotWritten(f"there is no overlay {place}")
    if not isinstance(deployment.get("values"), Mapping) or not isinstance(deployment.get("settings"), Mapping):
        raise NotWritten("it tells no values and settings: is it the output `deployment` of a stack that runs on Kubernetes?")
    parts = [
        (overlay / "values.yaml", "  {name}: ", deployment["values"]),
        (overlay / "settings.env", "{name}=", deployment["settings"]),
        (overlay / "kustomization.yaml", "    {name}: ", {"newName": deployment["image"]}),
        (argocd / "values.yaml", "  {name}: ", deployment.get("argocd") or {}),
    ]
    texts, changed = {}, []
    for file, begin, told in parts:
        text = file.read_text(encoding="utf-8") if told else ""
        for name, value in told.items():
            line = re.compile(rf"^({re.escape(begin.format(name=name))})(.*)$", re.MULTILINE)
            if (found := line.search(text)) is None:
                raise NotWritten(f"{file.relative_to(infra.parent)} has no line for {name}")
            if not isinstance(value, str) or not value or "\n" in value:
                raise NotWritten(f"{name} is {value!r}, and has to be a text")
            if found[2] != value:
                changed.append(name)
                text = f"{text[: found.start(2)]}{value}{text[found.end(2) :]}"
        if told:
            texts[file] = text
    for file, text in texts.items():
        file.write_text(text, encoding="utf-8")
    return changed


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what changed; 1 where nothing could be written."""
    parser = argparse.ArgumentParser(prog="python -m infra.k8s.installation", description=__doc__)
    parser.add_argument("place", help="environment and cloud, as dev/aws or second/gcp")
    options = parser.parse_args(arguments)
    try:
        changed = write(INFRA, options.place, json.load(sys.stdin))
    except (NotWritten, json.JSONDecodeError) as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    sys.stdout.write("".join(f"{name}\n" for name in changed) or "nothing to change\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
