"""Patterns: regular expressions that a text must not fit. RE2 runs them: its time grows with the text and no faster."""

from typing import Annotated, Any, ClassVar, Final

from pydantic import Field, StringConstraints

from chains.guards.base import Finding, Guard, Options
from chains.guards.readings import readings
from core.policies.policy import Side

#: Bytes that a compiled pattern may take.
_MEMORY: Final = 2 * 2**20

Pattern = Annotated[str, StringConstraints(min_length=1, max_length=2000)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_. -]+$")]


class PatternOptions(Options):
    """By name, what must not be in a text. RE2's syntax: no references back and no looking around."""

    deny: dict[Name, Pattern] = Field(min_length=1, max_length=100)
    ignore_case: bool = True


class Patterns(Guard):
    """Objects to what fits a pattern, and names it."""

    options_type = PatternOptions
    usual: ClassVar[tuple[Side, ...]] = (Side.INPUTS, Side.OUTPUTS)

    def __init__(self, options: Options, models: Any) -> None:
        super().__init__(options, models)
        self._compiled = {name: compiled(pattern, self.options) for name, pattern in self.options.deny.items()}

    @classmethod
    def check(cls, options: Any) -> None:
        for name, pattern in options.deny.items():
            try:
                found = compiled(pattern, options)
            except ValueError:
                raise ValueError(f"deny.{name}: RE2 cannot use this pattern") from None
            if found.search(""):
                raise ValueError(f"deny.{name}: this pattern fits every text")

    async def read(self, text: str) -> Finding | None:
        ways = readings(text)
        return next((Finding(name) for name, pattern in self._compiled.items() if any(map(pattern.search, ways))), None)


def compiled(pattern: str, options: Any) -> Any:
    """The pattern, compiled.

    Raises:
        ValueError: it is none, or too large.
    """
    import re2

    given = re2.Options()
    given.case_sensitive = not options.ignore_case
    given.max_mem = _MEMORY
    given.log_errors = False
    try:
        return re2.compile(pattern, given)
    except re2.error as error:
        raise ValueError(str(error)) from None
