"""What a log may hold of a path: words and our identifiers as they are, of keys no more than their kind."""

import pytest

from core.keys import new_key
from core.tables.columns import new_id
from server.shown_path import shown

DRAWN = "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3zA5bC7dE9f"


@pytest.mark.parametrize(
    ("key", "left"),
    [
        (f"sk-ant-api03-{DRAWN}", "sk-a…"),
        (f"sk-proj-{DRAWN}", "sk-p…"),
        (f"ghp_{DRAWN[:36]}", "ghp_…"),
        ("AKIA" + "Q7ZX2MNB4KTL5WRE", "AKIA…"),
        (f"hf_{DRAWN[:34]}", "hf_a…"),
        (DRAWN, "aB3d…"),
        (new_key(), "gk_…"),
    ],
    ids=["anthropic", "openai", "github", "aws", "hugging face", "no form", "ours"],
)
def test_of_a_key_its_kind_is_left(key: str, left: str) -> None:
    assert shown(f"/api/v1/keys/{key}") == f"/api/v1/keys/{left}"
    assert shown(f"/{key}/{key}/x") == f"/{left}/{left}/x"


def test_words_and_identifiers_stay() -> None:
    identifiers = [new_id(prefix)() for prefix in ("usr", "key", "doc", "batch")]
    paths = [f"/api/v1/users/{identifier}/export" for identifier in identifiers]
    paths += ["/api/v1/rag/collections/handbook-of-the-northern-office-2026/documents", "/api/v1/health/ready", "/"]
    assert [shown(path) for path in paths] == paths
    assert len(shown("/" + "x" * 500)) == 200
