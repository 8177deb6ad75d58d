"""The Terraform of a tree: its modules, and the live stacks, one for each cloud and environment."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from infra.lint import hcl
from infra.lint.tree import TERRAFORM, Tree

CLOUDS = ("aws", "azure", "google")
ENVIRONMENTS = ("dev", "staging", "production")


@dataclass(frozen=True, slots=True)
class Stack:
    """A root module below `live/CLOUD/ENVIRONMENT`."""

    cloud: str
    environment: str
    module: hcl.Module

    @property
    def name(self) -> str:
        return f"{self.cloud}/{self.environment}"


def modules(tree: Tree) -> Iterator[hcl.Module]:
    """Every directory with Terraform files, each parsed once a run."""
    directories = {path.parent for path in tree.files("*.tf", below=TERRAFORM)}
    for directory in sorted(directories):
        if directory not in _READ:
            _READ[directory] = hcl.read(directory)
        yield _READ[directory]


def stacks(tree: Tree) -> list[Stack]:
    """The live stacks."""
    live = tree.root / TERRAFORM / "live"
    return [
        Stack(parts[0], parts[1], module)
        for module in modules(tree)
        if module.path.is_relative_to(live) and len(parts := module.path.relative_to(live).parts) == 2
    ]


_READ: dict[Path, hcl.Module] = {}
