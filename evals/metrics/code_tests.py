"""Whether code does what its tests ask for: it is run with them in a process that is locked up."""

import re
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from core.locked_child import Ended, LockUnavailable, run_locked
from evals.base import Outcome, Score
from evals.metrics.base import Options, Scoring, references

_BLOCK = re.compile(r"```(?:python|py|python3)?[ \t]*\n(.*?)```", re.S | re.I)
_MEGABYTE = 2**20


class CodeOptions(Options):
    """The tests are the example's `expected`, or its label that `tests` names. `before`: the label whose code goes before the
    output (what a completion continues). `partial`: the share of tests that pass instead of all or nothing."""

    tests: str | None = Field(None, max_length=64)
    before: str | None = Field(None, max_length=64)
    partial: bool = False
    timeout_s: float = Field(10, gt=0, le=120)
    memory_mb: int = Field(512, ge=64, le=4096)


class CodeTests(Scoring):
    """1 where Python code passes all of its tests, else 0. Code that ends early, takes too long or too much memory does not
    pass. Unmeasured where this system cannot lock a process up: nothing is run there."""

    name = "code_tests"
    options_type: ClassVar[type[Options]] = CodeOptions

    async def measure(self, outcome: Outcome) -> Score:
        options: CodeOptions = self.options
        labels = outcome.example.labels
        tests = [labels.get(options.tests)] if options.tests else references(outcome.example)
        told = "\n\n".join(one for one in tests if isinstance(one, str) and one.strip())
        if not told:
            return Score.unmeasured("no_tests")
        before = labels.get(options.before) if options.before else ""
        code = f"{before}\n{code_of(outcome.output)}" if isinstance(before, str) and before else code_of(outcome.output)
        given = {"code": code, "tests": told, "entry_point": labels.get("entry_point")}
        try:
            ended = await run_locked(_runner(), given, timeout_s=options.timeout_s, memory_bytes=options.memory_mb * _MEGABYTE)
        except LockUnavailable:
            return Score.unmeasured("cannot_be_locked")
        return _scored(ended, partial=options.partial)


def code_of(output: str) -> str:
    """The code of an answer: its fenced blocks, one after the other, or all of it where it has none."""
    blocks = _BLOCK.findall(output)
    return "\n\n".join(blocks) if blocks else output


def _scored(ended: Ended, *, partial: bool) -> Score:
    if ended.how != "finished":
        return Score(0.0, ended.how)
    results = _results(ended.value)
    if not results:
        return Score(0.0, "crash")
    passed = sum(one["passed"] for one in results)
    details = {"passed": passed, "tests": len(results), "failures": [one for one in results if not one["passed"]][:20]}
    value = passed / len(results) if partial else float(passed == len(results))
    return Score(value, None if passed == len(results) else "failed", details)


def _results(value: Any) -> list[dict[str, Any]]:
    """What the child says; it may say anything."""
    given = value.get("results") if isinstance(value, dict) else None
    found = []
    for one in given if isinstance(given, list) else []:
        if not (isinstance(one, list) and len(one) == 4 and isinstance(one[1], bool)):
            return []
        found.append({"test": str(one[0])[:200], "passed": one[1], "error": str(one[2])[:100], "message": str(one[3])[:200]})
    return found


@cache
def _runner() -> str:
    return Path(__file__).with_name("code_runner.py").read_text(encoding="utf-8")
