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

    @property
    def unmeasured(self) -> str | None:
        """Why all of it is unmeasured, or which of its metrics are; None where nothing is."""
        if self.error is not None:
            return self.error
        return ", ".join(f"{label}: {one.get('why')}" for label, one in self.scores.items() if one.get("value") is None) or None


@dataclass(frozen=True, slots=True)
class Report:
    """A run that has ended. `dataset` is the digest of its examples, `stopped` the code that says why it ended before its
    end, `version` what of the alias was asked; empty where the target is no alias."""

    suite: str
    target: str
    metrics: Mapping[str, Mapping[str, Any]]
    thresholds: Sequence[Mapping[str, Any]]
    baseline: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    dataset: str = ""
    examples: Sequence[ExampleReport] = ()
    spent_usd: Decimal | None = None
    stopped: str | None = None
    version: str = ""
    prompts: Mapping[str, int] = field(default_factory=dict)

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
    unmeasured = [one for one in report.examples if one.unmeasured is not None]
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
        skipped = f"<skipped message={_attribute(f'unmeasured: {example.unmeasured}')}/>"
        lines.append(f"{case}/>" if example.unmeasured is None else f"{case}>{skipped}</testcase>")
    return "\n".join([*lines, "</testsuite>", "</testsuites>", ""])


def markdown(report: Report) -> str:
    """A page: the verdict, thresholds, figures, the comparison with the baseline, and examples that are unmeasured."""
    lines = [f"# {_cell(report.suite)}: {'passed' if report.passed else 'failed'}", "", _target(report)]
    if report.spent_usd is not None:
        lines.append(f"Spent: ${report.spent_usd.normalize():f}.")
    if report.stopped is not None:
        lines += ["", f"**It ended before its end: {report.stopped}.**"]
    if report.thresholds:
        lines += ["", "| threshold | value | holds |", "|---|---|---|"]
        for one in report.thresholds:
            holds = "yes" if one["passed"] else f"**no**: {_cell(_reasons(one))}"
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
            told[0] += f" ({found['why']})" if found.get("why") else ""
            lines.append(f"| {_cell(label)} | {' | '.join(told)} | {found.get('needed') or ''} |")
    failed = [one for one in report.examples if one.unmeasured is not None]
    if failed:
        lines += ["", f"{len(failed)} of {len(report.examples)} examples are unmeasured, wholly or in part:", ""]
        lines += [f"- {_cell(one.id)}: {_cell(one.unmeasured or '')}" for one in failed[:_SHOWN]]
        lines += [f"- and {len(failed) - _SHOWN} more"] if len(failed) > _SHOWN else []
    return "\n".join([*lines, ""])


def as_json(report: Report) -> bytes:
    """What `--baseline` takes later."""
    told = {
        "suite": report.suite,
        "dataset": report.dataset,
        "target": report.target,
        "version": report.version,
        "prompts": report.prompts,
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
    return f"{_reasons(one)}; value {_number(one['value']) or 'none'}"


def _reasons(one: Mapping[str, Any]) -> str:
    """Why a threshold does not hold; of unmeasured examples how many, how many may be, and why they are."""
    told = []
    for reason in one["reasons"]:
        if reason != "unmeasured":
            told.append(reason)
            continue
        why = ", ".join(f"{name}: {count}" for name, count in one["why_unmeasured"].items())
        told.append(f"unmeasured: {one['unmeasured']} of {one['total']}, at most {one['max_unmeasured']:.0%} may be ({why})")
    return "; ".join(told)


def _target(report: Report) -> str:
    version = f", version {report.version}" if report.version else ""
    prompts = ", ".join(f"{name} {number}" for name, number in report.prompts.items())
    return f"Target: {_cell(report.target)}{version}{f'; prompts {_cell(prompts)}' if prompts else ''}."


def _number(value: Any) -> str:
    return "" if value is None else f"{value:.6g}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _attribute(text: str) -> str:
    return quoteattr(_NO_XML.sub("\ufffd", text))
