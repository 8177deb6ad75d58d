"""Reading prompts, which are files below `chains/prompts/`: `$name` in them stands for a value. The registry may have another
version of one live, or an alias ask with another (docs/registry.md)."""

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from string import Template

from core.context import current

_PLACE = re.compile(r"\$(?:[a-z_]+|\{[a-z_]+\})")
PROMPTS = Path(__file__).parent / "prompts"
#: Between the part for the system and the part for the user, in prompts that have both.
DIVIDER = "\n---\n"


def prompt(name: str) -> Template:
    """The prompt of that name that the request goes by, as a template; `.substitute(…)` raises `KeyError` for a value that is
    missing."""
    return current().versions.prompt(name) or built_in(name)


@cache
def built_in(name: str) -> Template:
    """The prompt file of that name."""
    return Template((PROMPTS / name).read_text(encoding="utf-8").strip())


@cache
def names() -> tuple[str, ...]:
    """Every prompt that there is."""
    return tuple(sorted(file.relative_to(PROMPTS).as_posix() for file in PROMPTS.rglob("*.txt")))


@cache
def own_words() -> tuple[str, ...]:
    """What stands in the prompt files beside the places for values, line by line."""
    return words_of((PROMPTS / name).read_text(encoding="utf-8") for name in names())


def words_of(texts: Iterable[str]) -> tuple[str, ...]:
    """What stands in prompts beside the places for values, line by line."""
    parts = (part for text in texts for part in _PLACE.split(text))
    return tuple({line.strip() for part in parts for line in part.splitlines() if line.strip()})
