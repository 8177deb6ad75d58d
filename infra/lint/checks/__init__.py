"""The checks: one module each, and one line here."""

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import cast

from infra.lint.finding import Finding
from infra.lint.tree import Tree

#: Yields what is wrong with a tree; nothing where all is well. Raises `ToolMissing` where it cannot be asked, `ToolFailed`
#: where a program that it asks does not answer.
Check = Callable[[Tree], Iterator[Finding]]

#: The check's name -> "module:function". Loaded when it is run: a checker's library is in `.venv-infra` alone.
CHECKS = {
    "shell": "infra.lint.checks.shell:check",
    "hadolint": "infra.lint.checks.image:check",
    "image": "infra.lint.checks.image:check_rules",
    "schemas": "infra.lint.checks.schemas:check",
    "compose": "infra.lint.checks.compose:check",
    "prometheus": "infra.lint.checks.prometheus:check",
    "names": "infra.lint.checks.names:check",
    "kustomize": "infra.lint.checks.kustomize:check",
    "custom-resources": "infra.lint.checks.custom_resources:check",
    "workloads": "infra.lint.checks.workloads:check",
    "availability": "infra.lint.checks.availability:check",
    "networks": "infra.lint.checks.networks:check",
    "cluster-settings": "infra.lint.checks.cluster_settings:check",
    "cluster-metrics": "infra.lint.checks.cluster_metrics:check",
    "cluster-commands": "infra.lint.checks.cluster_commands:check",
    "delivery": "infra.lint.checks.delivery:check",
    "installations": "infra.lint.checks.installations:check",
    "images": "infra.lint.checks.images:check",
    "terraform_caches": "infra.lint.checks.terraform_caches:check",
    "terraform_cycles": "infra.lint.checks.terraform_cycles:check",
    "terraform_format": "infra.lint.checks.terraform_format:check",
    "terraform_rights": "infra.lint.checks.terraform_rights:check",
    "terraform_schemas": "infra.lint.checks.terraform_schemas:check",
    "terraform_scan": "infra.lint.checks.terraform_scan:check",
    "terraform_stacks": "infra.lint.checks.terraform_stacks:check",
    "terraform_wiring": "infra.lint.checks.terraform_wiring:check",
    "workflows": "infra.lint.checks.workflows:check",
    "runbooks": "infra.lint.checks.runbooks:check",
}


def load(name: str) -> Check:
    """The function of a check. Raises KeyError where there is none of the name."""
    module, _, function = CHECKS[name].partition(":")
    return cast("Check", getattr(import_module(module), function))
