"""Reading prompts, which are files below `chains/prompts/`: `$name` in them stands for a value."""

import re
from functools import cache
from pathlib import Path
from string import Template

_PLACE = re.compile(r"\$(?:[a-z_]+|\{[a-z_]+\})")
PROMPTS = Path(__file__).parent / "prompts"


@cache
def prompt(name: str) -> Template:
    """The prompt file of that name, as a template; `.substitute(…)` raises `KeyError` for a value that is missing."""
    return Template((PROMPTS / name).read_text(encoding="utf-8").strip())


@cache
def own_words() -> tuple[str, ...]:
    """What stands in the prompt files beside the places for values, line by line."""
    files = sorted(PROMPTS.rglob("*.txt"))
    parts = (part for file in files for part in _PLACE.split(file.read_text(encoding="utf-8")))
    return tuple({line.strip() for part in parts for line in part.splitlines() if line.strip()})
