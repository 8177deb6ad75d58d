"""The replay of a Dockerfile's build: each stage a directory, each RUN in it as its root, each step timed and weighed."""

import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from infra.docker.chamber import OF_THE_NETWORK, Chamber, python_of
from infra.docker.dockerfile import Instruction, Stage, Unreplayable, parse, substituted
from infra.docker.ignored import Ignored

#: What an image of Python sets by itself.
_OF_THE_BASE = {"PATH": "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
_POSTGRESQL = re.compile(r"(?:docker\.io/)?(?:library/)?postgres:(\d+)\.\d+-\w+")
_BASE = re.compile(r"(?:docker\.io/)?(?:library/)?python:(\d+\.\d+)\.\d+-\w+(?:-\w+)?")
#: Lines of a failed step's output that are shown.
_TAIL = 30


class StepFailed(Exception):
    """A step of the build ended with an error; the message has its line and the end of its output."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step as it went. `grown_bytes` is what the stage's directory has gained by it."""

    stage: str
    line: int
    text: str
    took_s: float
    grown_bytes: int


@dataclass(slots=True)
class Image:
    """What a stage has come to. `user` is as USER says it, `command` what CMD runs, `healthcheck` what HEALTHCHECK does."""

    chamber: Chamber
    environment: dict[str, str] = field(default_factory=lambda: dict(_OF_THE_BASE))
    directory: str = "/"
    user: str = "0:0"
    shell: list[str] = field(default_factory=lambda: ["/bin/sh", "-c"])
    command: list[str] = field(default_factory=list)
    healthcheck: list[str] = field(default_factory=list)
    ports: list[str] = field(default_factory=list)
    arguments: dict[str, str] = field(default_factory=dict)

    def path(self, place: str) -> Path:
        """Where a path of the image lies on this machine; relative ones from the working directory."""
        return self.chamber.root / os.path.normpath(os.path.join("/", self.directory, place)).lstrip("/")


class Build:
    """One replay below `place`, which is made and stays. `arguments` are those of `--build-arg`; `tell` is told each step."""

    def __init__(
        self,
        dockerfile: Path,
        context: Path,
        place: Path,
        arguments: Mapping[str, str] | None = None,
        *,
        tell: Callable[[Step], None] = lambda _: None,
    ) -> None:
        self._context = context
        self._place = place
        self._tell = tell
        self._arguments = dict(arguments or {})
        self._ignored = Ignored.beside(dockerfile)
        self._stages = {stage.name: stage for stage in parse(dockerfile)}
        self._images: dict[str, Image] = {}
        self.steps: list[Step] = []

    def image(self, target: str | None = None) -> Image:
        """Build a stage, the last one where none is named, and the stages that it stands on or copies from.

        Raises:
            StepFailed: a step did.
            Unreplayable: the Dockerfile asks for what this does not do.
            NoChamber: the base's Python is not here.
        """
        name = target or list(self._stages)[-1]
        if name not in self._images:
            self._images[name] = self._built(self._stages[name])
        return self._images[name]

    def _built(self, stage: Stage) -> Image:
        image = self._begun(stage)
        for instruction in stage.instructions:
            before, began = size_of(image.chamber.root), time.monotonic()
            self._carry_out(instruction, image, still=_is_still(stage))
            if instruction.name in ("RUN", "COPY"):
                took_s = time.monotonic() - began
                grown = size_of(image.chamber.root) - before
                step = Step(stage.name, instruction.line, f"{instruction.name} {instruction.text}", took_s, grown)
                self.steps.append(step)
                self._tell(step)
        return image

    def _begun(self, stage: Stage) -> Image:
        root = self._place / stage.name
        if stage.base in self._stages:
            parent = self.image(stage.base)
            shutil.copytree(parent.chamber.root, root, symlinks=True, copy_function=_linked if _is_still(stage) else _copied)
            _owned_alike(parent.chamber.root, root)
            return Image(
                Chamber(root, parent.chamber.python),
                dict(parent.environment),
                parent.directory,
                parent.user,
                list(parent.shell),
                list(parent.command),
                list(parent.healthcheck),
                list(parent.ports),
            )
        if (server := _POSTGRESQL.fullmatch(stage.base)) is not None:
            image = Image(Chamber.clean(root, Path("/usr")))
            image.environment["PATH"] = f"{image.chamber.with_postgresql(server[1])}:{image.environment['PATH']}"
            return image
        if (python := _BASE.fullmatch(stage.base)) is None:
            raise Unreplayable(f"FROM {stage.base}: only images of Python and PostgreSQL have a stand-in here")
        return Image(Chamber.clean(root, python_of(python[1])))

    def _carry_out(self, instruction: Instruction, image: Image, *, still: bool) -> None:
        text = substituted(instruction.text, image.environment | image.arguments)
        match instruction.name:
            case "RUN":
                self._run(instruction, image)
            case "COPY":
                self._copy(Instruction(instruction.line, "COPY", instruction.flags, text), image, still=still)
            case "ARG":
                for name, without in Instruction(0, "ARG", {}, text).pairs().items():
                    image.arguments[name] = self._arguments.get(name, without)
            case "ENV":
                image.environment |= Instruction(0, "ENV", {}, text).pairs()
            case "WORKDIR":
                image.directory = os.path.normpath(os.path.join(image.directory, text))
                image.path(".").mkdir(parents=True, exist_ok=True)
            case "USER":
                image.user = text
            case "SHELL":
                image.shell = _words(instruction)
            case "CMD":
                image.command = _words(instruction)
            case "HEALTHCHECK":
                image.healthcheck = _words(Instruction(instruction.line, "CMD", {}, text.partition("CMD ")[2]))
            case "EXPOSE":
                image.ports += text.split()

    def _run(self, instruction: Instruction, image: Image) -> None:
        words = instruction.words or [*image.shell, instruction.text]
        network = {name: os.environ[name] for name in OF_THE_NETWORK if name in os.environ}
        home = {"HOME": "/root"} if image.user in ("0:0", "root", "0") else {}
        with tempfile.TemporaryFile() as output:
            process = image.chamber.start(
                words,
                environment=network | home | image.environment | image.arguments,
                directory=image.directory,
                user=_numbered(image.user),
                output=output.fileno(),
            )
            code = process.wait()
            output.seek(0)
            said = output.read().decode(errors="replace").splitlines()
        if code != 0:
            raise StepFailed("\n".join([f"line {instruction.line}: RUN ended with {code}", *said[-_TAIL:]]))

    def _copy(self, instruction: Instruction, image: Image, *, still: bool) -> None:
        *sources, target = instruction.words or instruction.text.split()
        origin = instruction.flags.get("from")
        if unknown := set(instruction.flags) - {"from", "chown"}:
            raise Unreplayable(f"line {instruction.line}: COPY --{min(unknown)} is not replayed")
        into, owner = image.path(target), instruction.flags.get("chown")
        many = target.endswith("/") or len(sources) > 1
        for source in sources:
            if origin is None:
                copied = self._from_context(self._context / source, into, many=many)
            else:
                copy = _linked if still and owner is None else _copied
                copied = _from_stage(self.image(origin).path(os.path.join("/", source)), into, copy, many=many)
            if not copied:
                raise StepFailed(f"line {instruction.line}: COPY {source}: it is not there, or ignored")
        if owner is not None:
            uid, _, gid = owner.partition(":")
            for path in (into, *into.rglob("*")):
                os.chown(path, int(uid), int(gid or uid), follow_symlinks=False)

    def _from_context(self, source: Path, into: Path, *, many: bool) -> bool:
        """Whether anything was there that is not ignored."""
        if source.is_file():
            if self._ignored(PurePosixPath(source.relative_to(self._context))):
                return False
            return _from_stage(source, into, _copied, many=many)
        some = False
        for file in self._of_context(source):
            target = into / file.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            _copied(file, target)
            some = True
        return some

    def _of_context(self, directory: Path) -> Iterator[Path]:
        for file in sorted(directory.rglob("*")):
            if file.is_file() and not self._ignored(PurePosixPath(file.relative_to(self._context))):
                yield file


def size_of(root: Path) -> int:
    """Bytes of the files below, each counted once."""
    total, seen = 0, set[int]()
    for directory, _, files in os.walk(root):
        for name in files:
            with suppress(FileNotFoundError):
                status = os.lstat(os.path.join(directory, name))
                if status.st_ino not in seen:
                    seen.add(status.st_ino)
                    total += status.st_size
    return total


def _is_still(stage: Stage) -> bool:
    """Whether nothing runs in a stage: its files may then be those of the stage before, without a copy."""
    return all(instruction.name != "RUN" for instruction in stage.instructions)


def _from_stage(source: Path, into: Path, copy: Callable[[str, str], object], *, many: bool) -> bool:
    if source.is_file():
        target = into / source.name if many or into.is_dir() else into
        target.parent.mkdir(parents=True, exist_ok=True)
        copy(str(source), str(target))
        return True
    if source.is_dir():
        shutil.copytree(source, into, symlinks=True, copy_function=copy, dirs_exist_ok=True)
        _owned_alike(source, into)
        return True
    return False


def _linked(source: str, target: str) -> str:
    Path(target).unlink(missing_ok=True)
    os.link(source, target, follow_symlinks=False)
    return target


def _copied(source: str | Path, target: str | Path) -> str:
    shutil.copy2(source, target, follow_symlinks=False)
    status = os.lstat(source)
    os.chown(target, 0 if status.st_uid == os.getuid() else status.st_uid, status.st_gid, follow_symlinks=False)
    return str(target)


def _owned_alike(source: Path, target: Path) -> None:
    """Give directories the owners that they had; files have theirs."""
    for path in (source, *(path for path in source.rglob("*") if path.is_dir() and not path.is_symlink())):
        status = path.stat()
        os.chown(target / path.relative_to(source), status.st_uid, status.st_gid)


def _words(instruction: Instruction) -> list[str]:
    if (words := instruction.words) is None:
        raise Unreplayable(f"line {instruction.line}: {instruction.name} is replayed in its exec form alone")
    return words


def _numbered(user: str) -> str:
    if user in ("root", "0"):
        return "0:0"
    if re.fullmatch(r"\d+(:\d+)?", user) is None:
        raise Unreplayable(f"USER {user}: a user is replayed by number")
    return user
