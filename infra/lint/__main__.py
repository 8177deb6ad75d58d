"""Run the checks: `python -m infra.lint [--root DIR] [--application FILE] [CHECK…]`. 1 where anything was found."""

import argparse
import sys
from pathlib import Path

from infra.lint.application import ROOT, Application
from infra.lint.checks import CHECKS, load
from infra.lint.tools import ToolFailed, ToolMissing
from infra.lint.tree import Tree


def main(arguments: list[str] | None = None) -> int:
    """Print each finding as `path:line: message [check]`. 2 where a check could not be run."""
    parser = argparse.ArgumentParser(prog="python -m infra.lint", description=__doc__)
    parser.add_argument("checks", nargs="*", metavar="CHECK", help=f"of {', '.join(CHECKS)}; all where none is named")
    parser.add_argument("--root", type=Path, default=ROOT, help="the checkout to look at")
    parser.add_argument("--application", type=Path, help="what `python -m infra.lint.application FILE` has written")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.checks if name not in CHECKS]:
        parser.error(f"there is no check {unknown[0]!r}; there are {', '.join(CHECKS)}")
    tree = Tree(options.root, Application.read(options.application) if options.application else None)
    found = 0
    for name in options.checks or CHECKS:
        try:
            findings = sorted(set(load(name)(tree)))
        except (ToolMissing, ModuleNotFoundError) as missing:
            sys.stderr.write(f"{name}: {missing} (make lint-infra installs what the checks need)\n")
            return 2
        except ToolFailed as failed:
            sys.stderr.write(f"{name}: {failed}\n")
            return 2
        for finding in findings:
            sys.stdout.write(f"{finding} [{name}]\n")
        found += len(findings)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
