"""The closed set of actions: each has a category, and is explained where people look for it."""

from pathlib import Path

import pytest

from core.audit.actions import Action, category

DOCS = Path(__file__).parents[3] / "docs" / "audit.md"


@pytest.mark.parametrize("action", sorted(Action))
def test_every_action_has_a_category_and_is_in_the_table_of_the_docs(action: Action) -> None:
    assert category(action)
    rows = [line for line in DOCS.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    assert any(f"`{action.value}`" in row.split("|")[1] for row in rows)


def test_the_docs_tell_of_no_action_that_is_never_put_on_record() -> None:
    sources = [
        path for part in ("core", "server", "jobs", "evals", "retrievers", "chains") for path in Path(part).rglob("*.py")
    ]
    used = "".join(path.read_text(encoding="utf-8") for path in sources if path.name != "actions.py")
    assert [action.name for action in Action if f"Action.{action.name}" not in used] == []
