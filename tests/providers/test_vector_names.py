"""Which aliases give vectors that compare with those that are kept."""

from typing import Any

import pytest

from core.settings import ModelAlias
from providers.vector_names import gives, vector_name

SMALL = "text-embedding-3-small"


def alias(*deployments: dict[str, Any]) -> ModelAlias:
    return ModelAlias.model_validate({"alias": "embeddings", "kind": "embeddings", "deployments": deployments})


def at(provider: str, model: str, serves: str | None = None) -> dict[str, Any]:
    return {"provider": provider, "model": model} | ({"serves": serves} if serves else {})


@pytest.mark.parametrize(
    ("kept", "deployments", "same"),
    [
        (f"openai/{SMALL}", [at("openai", SMALL)], True),
        (f"openai/{SMALL}", [at("openai", "text-embedding-3-large")], False),
        (f"openai/{SMALL}", [at("openai_compatible:gateway", SMALL)], True),
        (f"openai/{SMALL}", [at("azure", "ours", SMALL)], True),
        ("azure/ours", [at("azure", "ours", SMALL)], True),
        (SMALL, [at("openai", SMALL)], True),
        (SMALL, [at("azure", "ours", "text-embedding-3-large")], False),
        (f"openai/{SMALL}", [at("azure", "ours", SMALL), at("openai", SMALL)], True),
        ("azure/ours", [at("openai", SMALL), at("azure", "ours", SMALL)], True),
        ("openai_compatible:a/BAAI/bge-m3", [at("openai_compatible:b", "baai/bge-m3")], True),
        ("openai_compatible:a/BAAI/bge-m3", [at("openai_compatible:b", "BAAI/bge-large")], False),
        ("", [at("openai", SMALL)], True),
    ],
)
def test_vectors_compare_where_the_model_is_the_same_whatever_provider_has_it(
    kept: str, deployments: list[dict[str, Any]], same: bool
) -> None:
    assert gives(alias(*deployments), kept) is same


def test_an_alias_gives_the_vectors_that_it_is_named_by() -> None:
    for deployment in (at("local", "all-MiniLM-L6-v2"), at("azure", "ours", SMALL), at("local", "/models/own.gguf#own")):
        assert gives(alias(deployment), vector_name(alias(deployment)))
