"""The Dockerfile: hadolint's rules, and ours."""

import re
from collections.abc import Iterator
from pathlib import Path

from infra.docker.choose import NEVER
from infra.docker.dockerfile import Instruction, Stage, Unreplayable, parse, substituted
from infra.lint.finding import Finding
from infra.lint.tools import ask, told
from infra.lint.tree import Tree

DOCKERFILE = Path("infra/docker/Dockerfile")
#: An exact release: three numbers, perhaps a variant.
EXACT = re.compile(r"v?\d+\.\d+\.\d+([.-][A-Za-z0-9.]+)*")
#: PostgreSQL's releases are two numbers.
_TWO = re.compile(r"postgres:\d+\.\d+(-[A-Za-z0-9.]+)*")


def check(tree: Tree) -> Iterator[Finding]:
    """What hadolint says of every Dockerfile."""
    for file in tree.files("Dockerfile", "Dockerfile.*"):
        if file.name.endswith(".dockerignore"):
            continue
        answer = ask(tree, ["hadolint", "--no-fail", "--format", "json", str(tree.relative(file))], codes=(0,))
        for each in told(answer, "hadolint"):
            yield Finding(tree.relative(file), each["line"], f"{each['code']} {each['message']}")


def check_rules(tree: Tree) -> Iterator[Finding]:
    """Exact tags, no root, a health check, files and modules that are there, and the application's own port and settings."""
    try:
        stages = parse(tree.root / DOCKERFILE)
    except Unreplayable as error:
        yield Finding(DOCKERFILE, 0, str(error))
        return
    names = {stage.name for stage in stages}
    for stage in stages:
        exact = EXACT.fullmatch(stage.base.rpartition(":")[2]) or _TWO.fullmatch(stage.base)
        if stage.base not in names and not exact:
            yield Finding(DOCKERFILE, 0, f"stage {stage.name}: {stage.base} is no exact release")
        for instruction in stage.instructions:
            for problem in _problems(instruction, tree):
                yield Finding(DOCKERFILE, instruction.line, problem)
    for problem in _of_target(_lineage(stages)):
        yield Finding(DOCKERFILE, 0, problem)
    if tree.application.settings["GENAI_PORT"] not in {port for each in _lineage(stages) for port in _ports(each)}:
        yield Finding(DOCKERFILE, 0, f"the platform's port, {tree.application.settings['GENAI_PORT']}, is not exposed")


def _problems(instruction: Instruction, tree: Tree) -> Iterator[str]:
    if instruction.name == "ENV":
        for name in instruction.pairs():
            if name.startswith("GENAI_") and not tree.application.has_setting(name):
                yield f"{name} is no setting of the application"
    if instruction.name == "COPY" and "from" not in instruction.flags:
        for source in instruction.text.split()[:-1]:
            if not (tree.root / source).exists():
                yield f"COPY {source}: there is no such file"
    if instruction.name in ("CMD", "HEALTHCHECK"):
        text = instruction.text.partition("CMD ")[2] if instruction.name == "HEALTHCHECK" else instruction.text
        words = Instruction(instruction.line, "CMD", {}, text).words
        if words is None:
            yield f"{instruction.name} is not in its exec form"
        elif words[:2] == ["python", "-m"] and not (tree.root / f"{words[2].replace('.', '/')}.py").exists():
            yield f"there is no module {words[2]}"
    if instruction.name == "ARG":
        for name, value in instruction.pairs().items():
            yield from _unknown_extras(tree, value) if name == "EXTRAS" else ()


def _unknown_extras(tree: Tree, value: str) -> Iterator[str]:
    import tomllib

    known = set(tomllib.loads((tree.root / "infra/docker/extras.toml").read_text(encoding="utf-8"))) - {NEVER}
    for name in set(substituted(value, {}).split()) - known:
        yield f"there is no extra {name!r}"


def _lineage(stages: list[Stage]) -> list[Instruction]:
    """The instructions that the last stage has, those of the stages that it stands on first."""
    known = {stage.name: stage for stage in stages}
    stage: Stage | None = stages[-1]
    found: list[Instruction] = []
    while stage is not None:
        found = [*stage.instructions, *found]
        stage = known.get(stage.base)
    return found


def _of_target(instructions: list[Instruction]) -> Iterator[str]:
    last = {instruction.name: instruction.text for instruction in instructions}
    if re.fullmatch(r"[1-9]\d*:[1-9]\d*", last.get("USER", "")) is None:
        yield "the image's user is not given by number, or is root"
    for name in ("HEALTHCHECK", "CMD"):
        if name not in last:
            yield f"the image has no {name}"


def _ports(instruction: Instruction) -> list[str]:
    return instruction.text.split() if instruction.name == "EXPOSE" else []
