"""Rules of our own for workflows: actions by exact release, the least permissions, nothing of a caller's in a script, commands
that are there, gates that hold, and variables that a page tells of."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from infra.lint.finding import Finding
from infra.lint.tree import Tree, line_of

_BELOW = ".github/workflows"
_EXACT = re.compile(r"[\w.-]+/[\w./-]+@(v\d+\.\d+\.\d+|[0-9a-f]{40})")
_IMAGE = re.compile(r"[\w./-]+:v?\d+(\.\d+)+[\w.-]*(@sha256:[0-9a-f]{64})?")
#: An expression in a script is put there before the shell reads it: whoever names a branch would write commands.
_EXPRESSION = re.compile(r"\$\{\{\s*([^}]+?)\s*\}\}")
_MAKE = re.compile(r"(?<![\w-])make ((?:[a-z][a-z-]*[ \t]*)+)")
_MODULE = re.compile(r"python -m ([a-z_]+(?:\.[a-z_]+)+)")
#: What has a gate pass whatever it says.
_PASSED_OVER = re.compile(r"\|\|\s*(?:true|:|exit 0)(?=\s|;|$)|(?<![\w-])set \+e", re.MULTILINE)
_RUNNER = re.compile(r"-latest\b")
_VARIABLE = re.compile(r"\bvars\.([A-Z][A-Z0-9_]*)")
#: What a commit has to have passed, before images of it are published and brought to the clouds.
_GATES = frozenset(f"./.github/workflows/{name}.yml" for name in ("ci", "eval", "security"))
_BEHIND_GATES = tuple(f"./.github/workflows/{name}.yml" for name in ("images", "deliver"))
_RELEASES = re.compile(r"\bgh release create\b")
_TARGET = re.compile(r"^([a-z][a-z-]*):", re.MULTILINE)


def check(tree: Tree) -> Iterator[Finding]:
    """What no workflow may do."""
    targets = set(_TARGET.findall((tree.root / "Makefile").read_text(encoding="utf-8")))
    pages = "\n".join(page.read_text(encoding="utf-8") for page in tree.files("*.md", below="docs"))
    for file in tree.files("*.yml", "*.yaml", below=_BELOW):
        workflow = _Workflow(tree, file, targets)
        yield from workflow.findings()
        yield from workflow.untold(pages)


class _Workflow:
    """One file."""

    def __init__(self, tree: Tree, file: Path, targets: set[str]) -> None:
        self._tree, self._path, self._targets = tree, tree.relative(file), targets
        self._text = file.read_text(encoding="utf-8")
        self._said: Mapping[Any, Any] = tree.yaml(file)[0]

    def findings(self) -> Iterator[Finding]:
        # YAML 1.1 reads the key `on` as a truth value
        events = self._said.get("on", self._said.get(True))
        if "pull_request_target" in (events or ()):
            yield self._at("pull_request_target", "pull_request_target runs a stranger's change with our secrets")
        if f"./{self._path}" in _BEHIND_GATES and "push" in (events or ()):
            yield self._at(r"^  push:", "a push starts it, and what it publishes has passed no test: call it behind them")
        yield from self._permissions(self._said.get("permissions"), "the workflow", inner=False)
        for name, job in self._said["jobs"].items():
            if "permissions" in job:
                yield from self._permissions(job["permissions"], f"the job {name}", inner=True)
            if "uses" not in job and "timeout-minutes" not in job:
                yield self._at(rf"^  {name}:", f"the job {name} has no timeout-minutes")
            for used in filter(None, (job.get("uses"), *(step.get("uses") for step in job.get("steps", ())))):
                yield from self._used(used)
            for step in job.get("steps", ()):
                yield from self._step(step)
            if job.get("continue-on-error") or any(step.get("continue-on-error") for step in job.get("steps", ())):
                yield self._at("continue-on-error:", f"the job {name} goes on where it has failed (continue-on-error)")
            if _RUNNER.search(str(job.get("runs-on", ""))):
                yield self._at("-latest", f"the job {name} runs on {job['runs-on']}, which is another one some day")
            yield from self._gated(name, job)

    def untold(self, pages: str) -> Iterator[Finding]:
        """Variables of GitHub's settings that nobody could know of."""
        for name in sorted(set(_VARIABLE.findall(self._text))):
            if not re.search(rf"\b{name}\b", pages):
                yield self._at(rf"vars\.{name}\b", f"no page of docs/ tells of the variable {name}")

    def _gated(self, name: str, job: Mapping[str, Any]) -> Iterator[Finding]:
        """What is published has been tested: by the jobs that it waits for, through however many."""
        scripts = "\n".join(str(step.get("run", "")) for step in job.get("steps", ()))
        if job.get("uses") not in _BEHIND_GATES and not _RELEASES.search(scripts):
            return
        if "always()" in str(job.get("if", "")):
            yield self._at(rf"^  {name}:", f"the job {name} is run whatever the jobs before it say")
        jobs, waiting, waited = self._said["jobs"], [name], set[str]()
        while waiting:
            needs = jobs[waiting.pop()].get("needs", ())
            new = {needs} if isinstance(needs, str) else set(needs)
            waiting += (new - waited) & set(jobs)
            waited |= new
        for gate in sorted(_GATES - {jobs[each].get("uses") for each in waited & set(jobs) if "if" not in jobs[each]}):
            yield self._at(rf"^  {name}:", f"the job {name} does not wait for {gate}")

    def _permissions(self, given: Any, whose: str, *, inner: bool) -> Iterator[Finding]:
        if not isinstance(given, Mapping):
            yield self._at("^permissions", f"{whose} does not name its permissions one by one")
        elif not inner and any(right == "write" for right in given.values()):
            yield self._at("^permissions", f"{whose} may write in every job: give that to the job which needs it")

    def _used(self, used: str) -> Iterator[Finding]:
        if used.startswith("./"):
            if not (self._tree.root / used).exists():
                yield self._at(re.escape(used), f"there is no {used}")
        elif not _EXACT.fullmatch(used):
            yield self._at(re.escape(used), f"{used} is no exact release")

    def _step(self, step: Mapping[str, Any]) -> Iterator[Finding]:
        script = str(step.get("run", ""))
        for expression in _EXPRESSION.findall(script):
            yield self._at(re.escape(expression), f"{expression} is put into a script: hand it over as a variable")
        for found in _PASSED_OVER.findall(script):
            yield self._at(re.escape(found), f"{found!r} has the step succeed whatever it finds")
        for words in _MAKE.findall(script):
            for target in words.split():
                if target not in self._targets:
                    yield self._at(rf"make .*{re.escape(target)}", f"make has no target {target}")
        for module in _MODULE.findall(script):
            if not (self._tree.root / module.replace(".", "/")).with_suffix(".py").is_file():
                yield self._at(re.escape(module), f"there is no module {module}")
        for name, value in (step.get("env") or {}).items():
            if str(value).startswith(("ghcr.io/", "docker.io/")) and not _IMAGE.fullmatch(str(value)):
                yield self._at(re.escape(name), f"{value} is no exact release")
        checks_out = str(step.get("uses", "")).startswith("actions/checkout@")
        if checks_out and (step.get("with") or {}).get("persist-credentials") is not False:
            yield self._at("actions/checkout@", "a checkout keeps its token: persist-credentials is not false")

    def _at(self, pattern: str, message: str) -> Finding:
        return Finding(self._path, line_of(self._text, pattern), message)
