"""Which lines of the lock an image installs: `python choose.py LOCK EXTRAS_TOML [EXTRA…]` prints those of the platform with the
extras that are named, and `--only NAME…` in their place those of these packages. An extra with a lock of its own puts its lines
over the others. Runs in the build with Python alone."""

import re
import sys
import tomllib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

NEVER = "development"


def pins(lock: str) -> Iterator[tuple[str, str]]:
    """(name, lines) of each package in a lock."""
    for found in re.finditer(r"^([a-z0-9][a-z0-9-]*)==(?:.*\\\n)*.*\n", lock, re.MULTILINE):
        yield found[1], found[0]


def left_out(extras: Mapping[str, Mapping[str, Any]], chosen: Collection[str]) -> set[str]:
    """The packages that are not installed where these extras are.

    Raises:
        ValueError: there is no such extra.
    """
    for name in chosen:
        if name not in extras or name == NEVER:
            known = ", ".join(sorted(set(extras) - {NEVER}))
            raise ValueError(f"there is no extra {name!r}; there are {known}")
    every = {package for extra in extras.values() for package in extra["packages"]}
    return every - {package for name in chosen for package in extras[name]["packages"]}


def main(arguments: list[str]) -> int:
    """Print the lines. 2 where an extra or a package is unknown."""
    lock, table, *rest = arguments
    every = dict(pins(Path(lock).read_text(encoding="utf-8")))
    try:
        if rest[:1] == ["--only"]:
            kept = {name: every[name] for name in rest[1:]}
        else:
            extras = tomllib.loads(Path(table).read_text(encoding="utf-8"))
            without = left_out(extras, rest)
            kept = {name: lines for name, lines in every.items() if name not in without}
            for name in rest:
                if added := extras[name].get("lock"):
                    kept |= pins((Path(table).parent / added).read_text(encoding="utf-8"))
    except (ValueError, KeyError) as error:
        sys.stderr.write(f"choose: {error}\n")
        return 2
    sys.stdout.write("".join(kept.values()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
