"""What a review finds: read from a model's lines, and seen by the parser in Python code. What the parser says is certain."""

import ast
import re
import warnings
from typing import Literal

from pydantic import BaseModel, Field

from chains.code.syntax import problems

Severity = Literal["error", "warning", "info"]

_SEVERITY = "error|bug|critical|high|warning|medium|info|note|low|style|suggestion"
_LINE = re.compile(
    r"^[\s>*•\d.)-]*\**(?:lines?|l)?\s*#?(\d+)(?:\s*[-–]\s*\d+)?\**\s*[:.,)\-–]\s*"
    rf"(?:\[({_SEVERITY})\]:?\s*|\(({_SEVERITY})\):?\s*|\**({_SEVERITY})\**\s*[:,\-–]\s*)?(.{{4,}})$",
    re.IGNORECASE,
)
_SEVERITIES: dict[str, Severity] = {
    **dict.fromkeys(("error", "bug", "critical", "high"), "error"),
    **dict.fromkeys(("info", "note", "low", "style", "suggestion"), "info"),
}
MAX_FINDINGS = 50


class Finding(BaseModel):
    """Something about a line, counted from 1. `source` tells a parser's facts from a model's opinion."""

    line: int
    severity: Severity
    message: str
    source: Literal["parser", "model"] = "model"


class Review(BaseModel):
    """What was found."""

    language: str
    findings: list[Finding]
    summary: str
    valid: bool | None = Field(description="whether the code parses; null where no parser knows the language")


def from_text(text: str, lines: int) -> tuple[list[Finding], str]:
    """A model's findings and the rest of its words. A line that the code does not have makes it no finding."""
    found: dict[tuple[int, str], Finding] = {}
    rest: list[str] = []
    for written in text.splitlines():
        match = _LINE.match(written)
        if match and 1 <= int(match[1]) <= lines and len(found) < MAX_FINDINGS:
            message = match[5].strip().strip("*").strip()
            severity = _SEVERITIES.get((match[2] or match[3] or match[4] or "").lower(), "warning")
            found.setdefault((int(match[1]), message.lower()), Finding(line=int(match[1]), severity=severity, message=message))
        elif written.strip() and not match:
            rest.append(written.strip())
    return list(found.values()), "\n".join(rest)


def from_parser(code: str, language: str) -> tuple[list[Finding], bool | None]:
    """What the parser sees, and whether the code parses (None: no parser knows the language)."""
    wrong = problems(code, language)
    found = [Finding(line=one.line, severity="error", message=f"Syntax: {one.message}", source="parser") for one in wrong or ()]
    if language == "python" and wrong == []:
        found += _python_findings(code)
    return found, None if wrong is None else not wrong


def _python_findings(code: str) -> list[Finding]:
    found: list[Finding] = []
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        tree = ast.parse(code)
        try:
            compile(tree, "<review>", "exec")
        except (SyntaxError, ValueError, RecursionError) as error:
            found.append(_finding(getattr(error, "lineno", 1) or 1, "error", str(getattr(error, "msg", error))))
    found += [_finding(one.lineno or 1, "warning", str(one.message)) for one in warned]
    for node in ast.walk(tree):
        found += _about(node)
    return sorted(found, key=lambda one: one.line)[:MAX_FINDINGS]


def _about(node: ast.AST) -> list[Finding]:
    match node:
        case ast.FunctionDef(args=arguments) | ast.AsyncFunctionDef(args=arguments):
            shared = [
                one for one in [*arguments.defaults, *arguments.kw_defaults] if isinstance(one, ast.List | ast.Dict | ast.Set)
            ]
            return [_finding(one.lineno, "warning", "A mutable default value is shared by all calls.") for one in shared]
        case ast.ExceptHandler(type=None):
            return [_finding(node.lineno, "warning", "A bare `except:` catches everything, also an interrupt.")]
        case ast.Compare(ops=[ast.Eq() | ast.NotEq()], comparators=[ast.Constant(value=None)]):
            return [_finding(node.lineno, "info", "Compare with None by `is` or `is not`.")]
        case ast.Call(func=ast.Name(id=("eval" | "exec") as name)):
            return [_finding(node.lineno, "warning", f"`{name}` runs whatever text it is given.")]
        case ast.BinOp(op=ast.Div() | ast.FloorDiv() | ast.Mod(), right=ast.Constant(value=0)):
            return [_finding(node.lineno, "error", "This divides by zero.")]
        case ast.BinOp(op=ast.Div() | ast.FloorDiv() | ast.Mod(), right=ast.Call(func=ast.Name(id="len"), args=[counted])):
            return [_finding(node.lineno, "warning", f"This divides by zero when `{ast.unparse(counted)[:80]}` is empty.")]
    return []


def _finding(line: int, severity: Severity, message: str) -> Finding:
    return Finding(line=line, severity=severity, message=message, source="parser")
