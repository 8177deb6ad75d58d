"""Names of the application anywhere in infra/: each setting, metric, path and module that a file speaks of is there."""

import re
from collections.abc import Iterator
from pathlib import Path

from infra.lint.finding import Finding
from infra.lint.tree import Tree

#: What is read: files that something deploys. Python has imports and types of its own.
_READ = (
    *("*.yaml", "*.yml", "*.json", "*.toml", "*.env", "*.tf", "*.tfvars", "*.conf", "*.tpl"),
    *("Dockerfile", "Dockerfile.*"),
)
_SETTING = re.compile(r"\bGENAI_[A-Z0-9_]*[A-Z0-9]")
#: By its unit: Terraform, too, has names that begin so.
_METRIC = re.compile(r"\bgenai_[a-z0-9_]+_(?:total|bucket|count|sum|seconds|bytes|usd)\b")
_ANY_METRIC = re.compile(r"\bgenai_[a-z0-9_]+\b(?!\s*[:=(])")
_PROMETHEUS = ("infra/prometheus/", "infra/grafana/")
_PATH = re.compile(r"(?<![\w/.-])/api/v1(?:/[a-z][a-z0-9-]*)*")
_MODULE = re.compile(r"\bpython3?[\", ]+-m[\", ]+([a-z_]+(?:\.[a-z_]+)*)")
#: Modules of Python's own, and of the image's.
_OF_PYTHON = frozenset({"venv", "compileall", "pip"})


def check(tree: Tree) -> Iterator[Finding]:
    """What is named and not there."""
    application = tree.application
    for file in tree.files(*_READ):
        relative = tree.relative(file)
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            for name in _SETTING.findall(line):
                if not application.has_setting(name):
                    yield Finding(relative, number, f"{name} is no setting of the application")
            for name in _metrics(relative, line):
                if name not in application.metrics:
                    yield Finding(relative, number, f"{name} is no metric of the application")
            for path in _PATH.findall(line):
                if not _is_route(path, application.routes):
                    yield Finding(relative, number, f"{path} is no path of the application")
            for module in _MODULE.findall(line):
                place = tree.root / module.replace(".", "/")
                if module not in _OF_PYTHON and not place.with_suffix(".py").exists() and not place.is_dir():
                    yield Finding(relative, number, f"there is no module {module}")


def _metrics(path: Path, line: str) -> list[str]:
    if not str(path).startswith(_PROMETHEUS):
        return _METRIC.findall(line)
    return [name for name in _ANY_METRIC.findall(line) if not name.endswith("_")]


def _is_route(path: str, routes: tuple[str, ...]) -> bool:
    """Whether it is a path, or the beginning of one: rules of ingresses and caches name these."""
    return any(route == path or route.startswith(f"{path}/") or re.match(_pattern(route), path) for route in routes)


def _pattern(route: str) -> str:
    return "^" + re.sub(r"\\\{[^}]+\\\}", "[^/]+", re.escape(route)) + "$"
