"""The images that are published are those that overlays run, and reach registries by the identities that Terraform makes."""

from pathlib import Path

import pytest

from infra.docker.needed import extras
from infra.lint.tree import Tree
from tests.infra.clusters import OVERLAYS, cluster
from tests.infra.planted import copied, needs_checkers, replaced, said

IMAGES, DELIVER = (f".github/workflows/{name}.yml" for name in ("images", "deliver"))
AWS, GOOGLE = (f"infra/terraform/modules/{cloud}/identity/main.tf" for cloud in ("aws", "google"))
MODELS = '[[models]]\nalias = "default"\n[[models.deployments]]\nprovider = "{}"\nmodel = "m"\n'
BOTH = MODELS + '[[models]]\nalias = "embeddings"\n[[models.deployments]]\nprovider = "openai"\nmodel = "m"\n'


@pytest.mark.parametrize(
    ("settings", "models", "needed"),
    [
        ({"GENAI_FILES_URL": "s3://bucket/files"}, BOTH.format("bedrock"), {"s3"}),
        ({"GENAI_FILES_URL": "gs://bucket/files"}, BOTH.format("vertex"), {"gcs", "vertex"}),
        ({"GENAI_FILES_URL": "az://container/files"}, BOTH.format("azure"), {"azure-blob"}),
        ({}, MODELS.format("openai"), {"local-models"}),
        ({}, BOTH.format("local"), {"local-models"}),
        ({"GENAI_RETRIEVAL__CROSS_ENCODER": "/models/x"}, BOTH.format("openai"), {"local-models"}),
        ({"GENAI_RETRIEVAL__STORE": "qdrant"}, BOTH.format("openai"), {"qdrant-embedded"}),
        ({"GENAI_RETRIEVAL__OTHER_STORES": '["weaviate","chroma_server"]'}, BOTH.format("openai"), {"chroma"}),
    ],
)
def test_what_an_installation_asks_for_says_the_extras(settings: dict[str, str], models: str, needed: set[str]) -> None:
    assert extras({"GENAI_RETRIEVAL__STORE": "pgvector"} | settings, models) == needed


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    copied(tmp_path, ".github", "infra/terraform/modules")
    return cluster(tmp_path, "production/aws", "dev/gcp")


@needs_checkers
def test_nothing_is_found_in_what_is_committed(tree: Tree) -> None:
    assert said("images", tree) == []


@needs_checkers
@pytest.mark.parametrize(
    ("path", "old", "new", "found"),
    [
        (IMAGES, "extras: s3 ocr", "extras: ocr", "the image for aws is without s3, which production/aws needs"),
        (IMAGES, "extras: gcs vertex ocr", "extras: gcs ocr", "the image for gcp is without vertex, which dev/gcp needs"),
        (IMAGES, "variant: gcp", "variant: google", "no image is built for gcp, which dev/gcp runs on"),
        (f"{OVERLAYS}/production/aws/settings.env", "s3://", "az://", "the image for aws is without azure-blob"),
        (DELIVER, "cloud: [aws, azure, gcp]", "cloud: [aws, gcp]", "nothing is brought to azure"),
        (DELIVER, "[dev, staging, production]", "[dev, staging]", "nothing is brought to production"),
        (DELIVER, "environment: ${{ matrix.environment }}\n", "concurrency: x\n", "in no environment of GitHub's"),
        (AWS, ":environment:${var.environment}", ":ref:refs/heads/main", "it lets ref:refs/heads/main push images"),
        (GOOGLE, "environment:${var.environment}'", "environment:${var.environment}-plan'", "${var.environment}-plan push"),
    ],
    ids=["driver", "provider", "cloud", "overlay", "not brought", "not everywhere", "no environment", "branch", "other"],
)
def test_an_image_that_would_not_start_or_not_arrive_is_found(tree: Tree, path: str, old: str, new: str, found: str) -> None:
    replaced(tree, path, old, new)
    assert any(found in each for each in said("images", tree)), said("images", tree)
