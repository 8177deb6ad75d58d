"""Which packages are a part's alone: walks what is installed here and lists it in `extras.toml`.

`python -m infra.docker.extras` says what differs (1), with `--write` it writes the list. Run it where everything is installed.
"""

import re
import sys
import tomllib
from collections.abc import Collection, Iterable
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from infra.docker.choose import NEVER

ROOT = Path(__file__).parents[2]
FILE = Path(__file__).with_name("extras.toml")


def reached(roots: Iterable[Requirement]) -> set[str]:
    """The names of all that these requirements bring here, themselves included."""
    found: set[tuple[str, str]] = set()
    waiting = list(roots)
    while waiting:
        requirement = waiting.pop()
        for extra in ("", *requirement.extras):
            name = canonicalize_name(requirement.name)
            if (name, extra) in found:
                continue
            try:
                needed = [Requirement(line) for line in requires(name) or ()]
            except PackageNotFoundError:
                continue
            found.add((name, extra))
            waiting += [each for each in needed if each.marker is None or each.marker.evaluate({"extra": extra})]
    return {name for name, _ in found}


def listed() -> dict[str, list[str]]:
    """Part -> the packages that are there for such parts alone."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    table = tomllib.loads(FILE.read_text(encoding="utf-8"))
    needed = [Requirement(line) for line in project["dependencies"]]
    optional = {name for part in table.values() for name in part["roots"]}
    always = reached(each for each in needed if canonicalize_name(each.name) not in optional)
    roots = {name: [Requirement(root) for root in part["roots"]] for name, part in table.items()}
    roots[NEVER] = [Requirement(line) for line in project["optional-dependencies"]["dev"]]
    parts = {name: reached(given) - always for name, given in roots.items()}
    used = set().union(*(packages for name, packages in parts.items() if name != NEVER))
    parts[NEVER] -= used
    return {name: sorted(packages) for name, packages in parts.items()}


def written(parts: dict[str, list[str]], text: str) -> str:
    """The file with these lists in it."""
    for name, packages in parts.items():
        lines = _lines(packages)
        pattern = rf"(^\[{re.escape(name)}\]\n(?:.*\n)*?packages = )\[(?:[^\]]*)\]"
        text = re.sub(pattern, lambda found, lines=lines: found[1] + lines, text, count=1, flags=re.MULTILINE)  # type: ignore[misc]
    return text


def _lines(packages: Collection[str]) -> str:
    return "[\n" + "".join(f'    "{name}",\n' for name in packages) + "]" if packages else "[]"


def main(arguments: list[str]) -> int:
    """Compare or write."""
    text = FILE.read_text(encoding="utf-8")
    now = written(listed(), text)
    if "--write" in arguments:
        FILE.write_text(now, encoding="utf-8")
    elif now != text:
        sys.stderr.write("infra/docker/extras.toml is behind: python -m infra.docker.extras --write\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
