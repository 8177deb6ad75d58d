"""What a gate tells of a run: JUnit's XML for build servers, Markdown for people, JSON to be a baseline later."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from xml.sax.saxutils import quoteattr

import orjson

_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class ExampleReport:
    """One example of a run. `scores` by a metric's label: `value`, or `why` there is none."""

    id: str
    scores: Mapping[str, Mapping[str, Any]]
    error: str | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Report:
    """A run that has ended. `dataset` is the digest of its examples, `stopped` the code that says why it ended before its
    end."""

    suite: str
    target: str
    metrics: Mapping[str, Mapping[str, Any]]
    thresholds: Sequence[Mapping[str, Any]]
    baseline: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    dataset: str = ""
    examples: Sequence[ExampleReport] = ()
    spent_usd: Decimal | None = None
    stopped: str | None = None

    @property
    def passed(self) -> bool:
        return self.stopped is None and self.measured and all(one["passed"] for one in self.thresholds)

    @property
    def measured(self) -> bool:
        """Whether any metric has measured anything: where none has there is nothing that could have passed."""
        return any(figures["measured"] for figures in self.metrics.values())


def junit(report: Report) -> str:
    """A test case a threshold, which fails where it does not hold, and one an example, skipped where it is unmeasured."""
    name = _attribute(report.suite)
    failures = [one for one in report.thresholds if not one["passed"]]
    unmeasured = [one for one in report.examples if one.error is not None]
    count = len(report.thresholds) + len(report.examples) + (report.stopped is not None)
    seconds = sum(one.seconds for one in report.examples)
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<testsuites tests="{count}" failures="{len(failures)}" errors="{int(report.stopped is not None)}">',
        f'<testsuite name={name} tests="{count}" failures="{len(failures)}" errors="{int(report.stopped is not None)}" '
        f'skipped="{len(unmeasured)}" time="{seconds:.3f}">',
    ]
    if report.stopped is not None:
        lines.append(f'<testcase classname={name} name="run"><error message={_attribute(report.stopped)}/></testcase>')
    for one in report.thresholds:
        case = f"<testcase classname={name} name={_attribute(_asked(one))}"
        told = f"<failure message={_attribute(_failed(one))}/>"
        lines.append(f"{case}/>" if one["passed"] else f"{case}>{told}</testcase>")
    for example in report.examples:
        case = f'<testcase classname={name} name={_attribute(f"example {example.id}")} time="{example.seconds:.3f}"'
        skipped = f"<skipped message={_attribute(f'unmeasured: {example.error}')}/>"
        lines.append(f"{case}/>" if example.error is None else f"{case}>{skipped}</testcase>")
    return "\n".join([*lines, "</testsuite>", "</testsuites>", ""])


def markdown(report: Report) -> str:
    """A page: the verdict, thresholds, figures, the comparison with the baseline, and examples that are unmeasured."""
    lines = [f"# {_cell(report.suite)}: {'passed' if report.passed else 'failed'}", "", f"Target: {_cell(report.target)}."]
    if report.spent_usd is not None:
        lines.append(f"Spent: ${report.spent_usd.normalize():f}.")
    if report.stopped is not None:
        lines += ["", f"**It ended before its end: {report.stopped}.**"]
    if report.thresholds:
        lines += ["", "| threshold | value | holds |", "|---|---|---|"]
        for one in report.thresholds:
            holds = "yes" if one["passed"] else f"**no**: {', '.join(one['reasons'])}"
            lines.append(f"| {_cell(_asked(one))} | {_number(one['value'])} | {holds} |")
    lines += ["", "| metric | mean | of all together | measured | unmeasured |", "|---|---|---|---|---|"]
    for label, figures in report.metrics.items():
        why = ", ".join(f"{reason}: {count}" for reason, count in figures["unmeasured"].items()) or "0"
        mean, corpus = _number(figures["mean"]), _number(figures.get("corpus"))
        lines.append(f"| {_cell(label)} | {mean} | {corpus} | {figures['measured']} | {_cell(why)} |")
    together = [(label, *one) for label, figures in report.metrics.items() for one in (figures.get("together") or {}).items()]
    if together:
        lines += ["", "| metric | of all its scores | value |", "|---|---|---|"]
        lines += [f"| {_cell(label)} | {_cell(name)} | {_number(value) or 'not known'} |" for label, name, value in together]
    if report.baseline:
        lines += [
            "",
            "| against the baseline | verdict | difference | interval | p | would settle it |",
            "|---|---|---|---|---|---|",
        ]
        for label, found in report.baseline.items():
            interval = f"{_number(found.get('low'))} to {_number(found.get('high'))}"
            told = [found["verdict"], _number(found.get("difference")), interval, _number(found.get("p"))]
            lines.append(f"| {_cell(label)} | {' | '.join(told)} | {found.get('needed') or ''} |")
    failed = [one for one in report.examples if one.error is not None]
    if failed:
        lines += ["", f"{len(failed)} examples have no answer:", ""]
        lines += [f"- {_cell(one.id)}: {one.error}" for one in failed[:_SHOWN]]
    return "\n".join([*lines, ""])


def as_json(report: Report) -> bytes:
    """What `--baseline` takes later."""
    told = {
        "suite": report.suite,
        "dataset": report.dataset,
        "metrics": report.metrics,
        "thresholds": report.thresholds,
        "passed": report.passed,
        "stopped": report.stopped,
        "spent_usd": report.spent_usd,
        "scores": {one.id: one.scores for one in report.examples},
    }
    return orjson.dumps(told, default=str, option=orjson.OPT_INDENT_2) + b"\n"


def _asked(one: Mapping[str, Any]) -> str:
    parts = [str(one["metric"])]
    parts += [f"at least {one['min']:g}"] if one["min"] is not None else []
    parts += [f"at most {one['max']:g}"] if one["max"] is not None else []
    return " ".join(parts) if len(parts) > 1 else f"{one['metric']} not worse than the baseline"


def _failed(one: Mapping[str, Any]) -> str:
    return f"{', '.join(one['reasons'])}; value {_number(one['value'])}, unmeasured {one['unmeasured']}"


def _number(value: Any) -> str:
    return "" if value is None else f"{value:.6g}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _attribute(text: str) -> str:
    return quoteattr(_NO_XML.sub("\ufffd", text))
