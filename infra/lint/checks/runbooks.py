"""Alerts of Prometheus and their runbooks: each alert links its own section, and each section is an alert's."""

import re
from collections.abc import Iterator

from infra.lint.finding import Finding
from infra.lint.tree import Tree, line_of

_ALERTS, _RUNBOOKS = "infra/prometheus/alerts.yml", "docs/runbooks.md"
_SECTION = re.compile(r"^## (Genai\w+)\n+(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
#: Words below which a section tells nobody what to do.
_FEWEST = 5


def check(tree: Tree) -> Iterator[Finding]:
    """Alerts without a section, with a wrong link, without severity or words; sections without an alert."""
    file, page = tree.root / _ALERTS, tree.root / _RUNBOOKS
    text = file.read_text(encoding="utf-8")
    sections = dict(_SECTION.findall(page.read_text(encoding="utf-8")))
    names = set()
    for group in tree.yaml(file)[0]["groups"]:
        for rule in group["rules"]:
            if "alert" not in rule:
                continue
            name = rule["alert"]
            names.add(name)
            line = line_of(text, rf"alert: {name}$")
            if (link := rule.get("annotations", {}).get("runbook_url")) != f"{_RUNBOOKS}#{name.lower()}":
                yield Finding(tree.relative(file), line, f"{name} links {link}, not its section {_RUNBOOKS}#{name.lower()}")
            if rule.get("labels", {}).get("severity") not in ("page", "ticket"):
                yield Finding(tree.relative(file), line, f"{name} is neither a page nor a ticket")
            if len(sections.get(name, "").split()) < _FEWEST:
                yield Finding(tree.relative(file), line, f"{name} has no section in {_RUNBOOKS} that says what to do")
    for name in sorted(sections.keys() - names):
        yield Finding(
            tree.relative(page), line_of(page.read_text(encoding="utf-8"), f"^## {name}$"), f"there is no alert {name}"
        )
