"""Refused rights: each is made where it is put on record."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("core", "providers", "retrievers", "chains", "evals", "jobs", "server")
#: Refusals that want no right: a page of another site, a wrong password, an address of the playground, a sign-in at an identity
#: provider (each is on record as what it is, where it is raised), and the network, which `comes_from_elsewhere` records.
NO_RIGHTS = {
    "foreign_origin",
    "network_not_allowed",
    "origin_not_allowed",
    "playground_only",
    "sign_in_refused",
    "wrong_password",
}


@pytest.mark.parametrize("package", PACKAGES)
def test_nobody_is_refused_a_right_past_the_record(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        if path == ROOT / "core" / "denials.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Forbidden":
                codes = [
                    word.value.value for word in node.keywords if word.arg == "code" and isinstance(word.value, ast.Constant)
                ]
                where = f"{path.relative_to(ROOT)}:{node.lineno}"
                assert codes, f"{where}: core.denials makes what lacks a right"
                assert codes[0] in NO_RIGHTS, f"{where}: core.denials makes what lacks a right"
