"""A Dockerfile as its stages and instructions, as much of it as ours use (docs.docker.com/reference/dockerfile, 2025).

What is not understood is refused, so that a replay never passes by leaving something out. Whether it is good style is
hadolint's to say.
"""

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: Instructions that a replay carries out, or whose value it keeps for the start.
KNOWN = frozenset(
    {"ARG", "CMD", "COPY", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "RUN", "SHELL", "STOPSIGNAL", "USER", "WORKDIR"}
)
_FLAG = re.compile(r"--([a-z][a-z-]*)(?:=(\S+))?\s+")
_VARIABLE = re.compile(r"\\\$|\$(?:\{(\w+)(?::([-+])([^}]*))?\}|(\w+))")


class Unreplayable(Exception):
    """Something that this replay does not understand; the message names the line."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction; `text` is what follows its name and flags, continuation lines joined."""

    line: int
    name: str
    flags: Mapping[str, str]
    text: str

    @property
    def words(self) -> list[str] | None:
        """The list of the exec form (`["a", "b"]`); None for a shell's form."""
        if not self.text.startswith("["):
            return None
        try:
            given: Any = json.loads(self.text)
        except ValueError:
            return None
        return given if isinstance(given, list) and all(isinstance(word, str) for word in given) else None

    def pairs(self) -> dict[str, str]:
        """`KEY=value …` of ENV, ARG and LABEL, quotes taken off; an ARG without a value has an empty one."""
        return {name: value for name, _, value in (word.partition("=") for word in shlex.split(self.text))}


@dataclass(frozen=True, slots=True)
class Stage:
    """What stands between two FROMs. `base` is an image or an earlier stage's name."""

    name: str
    base: str
    instructions: tuple[Instruction, ...] = field(default=())


def parse(file: Path) -> list[Stage]:
    """The stages in order; those without a name are named by their number.

    Raises:
        Unreplayable: an instruction that is not known here, a heredoc, an ARG before the first FROM.
    """
    stages: list[Stage] = []
    for instruction in _instructions(file.read_text(encoding="utf-8")):
        if instruction.name not in KNOWN:
            raise Unreplayable(f"{file.name}:{instruction.line}: {instruction.name} is not replayed")
        if instruction.name == "FROM":
            base, *alias = instruction.text.split()
            name = alias[1].lower() if len(alias) == 2 and alias[0].lower() == "as" else str(len(stages))
            stages.append(Stage(name, base))
        elif not stages:
            raise Unreplayable(f"{file.name}:{instruction.line}: {instruction.name} before the first FROM is not replayed")
        else:
            last = stages[-1]
            stages[-1] = Stage(last.name, last.base, (*last.instructions, instruction))
    return stages


def _instructions(text: str) -> list[Instruction]:
    found: list[Instruction] = []
    begun, start = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue  # also between continuation lines
        start = start or number
        begun += line.strip() + " "
        if line.rstrip().endswith("\\"):
            begun = begun.rstrip().removesuffix("\\")
            continue
        found.append(_instruction(start, begun.strip()))
        begun, start = "", 0
    if begun:
        found.append(_instruction(start, begun.strip()))
    return found


def _instruction(line: int, text: str) -> Instruction:
    name, _, rest = text.partition(" ")
    rest, flags = rest.lstrip(), dict[str, str]()
    if name.upper() != "HEALTHCHECK":
        while flag := _FLAG.match(rest):
            flags[flag[1]] = flag[2] or ""
            rest = rest[flag.end() :]
    if name.upper() in ("RUN", "COPY") and re.search(r"<<-?['\"]?\w", rest):
        raise Unreplayable(f"line {line}: a heredoc is not replayed")
    return Instruction(line, name.upper(), flags, rest)


def substituted(text: str, variables: Mapping[str, str]) -> str:
    """With `$NAME`, `${NAME}`, `${NAME:-without}` and `${NAME:+with}` replaced as a builder does; an unknown one is empty."""

    def value(found: re.Match[str]) -> str:
        if found[0] == r"\$":
            return "$"
        given = variables.get(found[1] or found[4], "")
        if found[2] == "-":
            return given or found[3]
        return (found[3] if given else "") if found[2] == "+" else given

    return _VARIABLE.sub(value, text)
