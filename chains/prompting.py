"""Reading prompts, which are files below `chains/prompts/`: `$name` in them stands for a value."""

from functools import cache
from pathlib import Path
from string import Template

PROMPTS = Path(__file__).parent / "prompts"


@cache
def prompt(name: str) -> Template:
    """The prompt file of that name, as a template; `.substitute(…)` raises `KeyError` for a value that is missing."""
    return Template((PROMPTS / name).read_text(encoding="utf-8").strip())
