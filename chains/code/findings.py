"""What a review finds: read from a model's lines, and seen in the code itself, which is certain."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, Field

from chains.code import parsing
from chains.code.faults import Severity

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
#: Characters of a line that may be a finding: the pattern takes seconds on one that is very long.
_LONGEST_LINE = 1000
_COUNTED = {"error": "error", "warning": "warning", "info": "remark"}
#: What a small model likes to claim of any line, and what the line must have for it.
_CLAIMS = (
    (re.compile(r"\bzero\b|\bdivi", re.I), r"[/%]|divmod"),
    (re.compile(r"\b(index|bounds?|subscript)\b", re.I), r"\[|range|\bat\b|\bget\b"),
    (re.compile(r"\bimport", re.I), r"import|include|require|using|use"),
    (re.compile(r"\bdefault (value|argument)", re.I), r"="),
)
#: What is a name of a program also without marks.
_NAMED = re.compile(r"\b(?:[A-Za-z]\w*_\w+|[a-z]+[A-Z]\w*|[A-Za-z_]\w*(?=\())")


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
    valid: bool | None = Field(description="whether the code parses; null where no parser can tell")


def from_text(text: str, lines: int) -> tuple[list[Finding], str]:
    """A model's findings and the rest of its words. A line that the code does not have makes it no finding."""
    found: dict[tuple[int, str], Finding] = {}
    rest: list[str] = []
    for written in text.splitlines():
        match = _LINE.match(written) if len(written) <= _LONGEST_LINE else None
        if match and 1 <= int(match[1]) <= lines and len(found) < MAX_FINDINGS:
            message = match[5].strip().strip("*").strip()
            severity = _SEVERITIES.get((match[2] or match[3] or match[4] or "").lower(), "warning")
            found.setdefault((int(match[1]), message.lower()), Finding(line=int(match[1]), severity=severity, message=message))
        elif written.strip() and not match:
            rest.append(written.strip())
    return list(found.values()), "\n".join(rest)


async def from_parser(code: str, language: str) -> tuple[list[Finding], bool | None]:
    """What can be seen without a model, and whether the code parses (None: nobody can tell, and a finding then says
    why)."""
    judged = await parsing.syntax(code, language)
    severity: Severity = "info" if judged.valid is None else "error"
    seen = [(one.line, severity, f"Syntax: {one.message}") for one in judged.problems]
    if judged.valid:
        seen = await parsing.faults(code, language)
    found = [Finding(line=line, severity=severity, message=message, source="parser") for line, severity, message in seen]
    return found, judged.valid


def without_echoes(findings: Sequence[Finding], code: str) -> list[Finding]:
    """The findings that say something: not those that give a line of the code back."""
    lines = {_bare(line) for line in code.splitlines()} - {""}
    said = [(one, _bare(one.message)) for one in findings]
    return [one for one, message in said if not any(_echoes(message, line) for line in lines)]


async def plausible(findings: Sequence[Finding], code: str, language: str) -> list[Finding]:
    """Of a small model's findings those that can be: they are no code, they name what the code has, what they claim has
    something to stand on in their line, and the same is not said of line after line."""
    are_code = await parsing.code_lines([one.message for one in findings], language) if findings else []
    findings = [one for one, is_code in zip(findings, are_code, strict=True) if not is_code]
    lines = code.splitlines()
    times = Counter(one.message.lower() for one in findings)
    kept = []
    for one in findings:
        named = {name for span in re.findall(r"`([^`]+)`", one.message) for name in re.findall(r"[A-Za-z_]\w+", span)}
        named |= set(_NAMED.findall(one.message))
        stands = all(re.search(sign, lines[one.line - 1]) for claim, sign in _CLAIMS if claim.search(one.message))
        if times[one.message.lower()] == 1 and stands and all(re.search(rf"\b{name}\b", code) for name in named):
            kept.append(one)
    return kept


def summary(findings: Sequence[Finding]) -> str:
    """How many findings of each severity there are, in words; of none, who has looked."""
    counts = Counter[str](one.severity for one in findings)
    said = [f"{counts[name]} {word}{'s' * (counts[name] > 1)}" for name, word in _COUNTED.items() if counts[name]]
    if said:
        return f"Found: {', '.join(said)}."
    return (
        "Nothing was found: the parser's checks found nothing, and the model named nothing that the code bears out. "
        "Nobody has run it."
    )


def _bare(text: str) -> str:
    return re.sub(r"[\s`'\"]|^\d+\s*:", "", text).rstrip(".:;").lower()


def _echoes(message: str, line: str) -> bool:
    """The message is the line, a piece of it, or the line with little beside it."""
    if len(message) < 4:
        return True
    return (
        message == line
        or (len(line) >= 6 and line in message and len(line) >= 0.7 * len(message))
        or (len(message) >= 6 and message in line and not message.isalpha())
    )
