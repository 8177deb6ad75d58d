"""The changelog's section of a release: `python -m infra.changelog 1.2.3` prints it, or says why not."""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


class NotReady(Exception):
    """A release that cannot be made; the message says what is missing."""


def section(root: Path, version: str) -> str:
    """What CHANGELOG.md says of a version.

    Raises:
        NotReady: the package has another version, or the changelog has no dated section of this one.
    """
    package = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    if package != version:
        raise NotReady(f"pyproject.toml has the version {package}, not {version}")
    changelog = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    found = re.search(
        rf"^## {re.escape(version)} \((?P<when>[^)]*)\)\n(?P<text>.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL
    )
    if found is None:
        raise NotReady(f"CHANGELOG.md has no section `## {version} (date)`")
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", found["when"]):
        raise NotReady(f"CHANGELOG.md says of {version} that it is {found['when']}: give it its date, as 2026-11-29")
    return found["text"].strip() + "\n"


def main() -> int:
    """Print the section; 1 with the reason where there is none."""
    if len(sys.argv) != 2:
        sys.stderr.write("usage: python -m infra.changelog VERSION\n")
        return 2
    try:
        sys.stdout.write(section(ROOT, sys.argv[1]))
    except NotReady as reason:
        sys.stderr.write(f"{reason}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
