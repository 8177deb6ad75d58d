"""Each check of Terraform finds the mistakes planted for it. That what is committed has none is what `make lint-infra` says."""

import re
from pathlib import Path

import pytest

from infra.lint.application import Application, collect
from infra.lint.tree import Tree
from tests.infra.planted import CHECKERS, copied, needs_checkers, replaced, said, said_by_checkers

pytestmark = needs_checkers
TERRAFORM = "infra/terraform"
AWS, AZURE, GOOGLE = (f"{TERRAFORM}/modules/{cloud}" for cloud in ("aws", "azure", "google"))
CHECKOV = CHECKERS.parents[2] / ".venv-checkov" / "bin" / "checkov"
LIVE = f"{TERRAFORM}/live"


def planted(tree: Tree, path: str, old: str, new: str) -> None:
    """Plant a mistake, however many spaces stand before the = of the line."""
    text = (tree.root / path).read_text(encoding="utf-8")
    there = re.search(r"[ ]+".join(map(re.escape, old.split(" "))), text)
    replaced(tree, path, there[0] if there else old, new)


@pytest.fixture(scope="module")
def application() -> Application:
    return collect()


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return copied(tmp_path / "tree", TERRAFORM, "infra/prometheus")


def test_mistakes_in_wiring_are_found(tree: Tree, tmp_path: Path) -> None:
    """Planted at once, since each run reads everything."""
    network = f"{AWS}/network/main.tf"
    planted(tree, network, "vpc_id = aws_vpc.this.id", "vpc_id = aws_vpc.that.id")
    planted(tree, network, "kms_key_id = var.kms_key_arn", "kms_key_id = var.kms_key")
    planted(tree, f"{AWS}/platform/main.tf", "module.network.vpc_id", "module.network.vpc")
    planted(tree, f"{AWS}/platform/main.tf", "module.keys.rest_arn", "module.key.rest_arn")
    planted(tree, f"{AWS}/platform/main.tf", "local.by_ecs", "local.other")
    planted(tree, f"{LIVE}/aws/dev/main.tf", "compute =", "computer =")
    planted(tree, f"{AZURE}/cache/outputs.tf", "description", "decription")
    planted(tree, f"{GOOGLE}/budget/main.tf", "data.google_project.current.number", "data.google_project.this.number")
    planted(tree, f"{GOOGLE}/cache/main.tf", 'resource "google_redis_instance" "this" {', 'resource "google_redis_instance" {{')
    found = "\n".join(said_by_checkers("terraform_wiring", tree, tmp_path))
    for mistake in (
        "there is no resource aws_vpc.that",
        "there is no variable kms_key",
        "the module network has no output vpc",
        "there is no module key",
        "there is no local other",
        "module platform: platform has no variable computer",
        "module platform: the variable compute is not given",
        "the output id has no description",
        "there is no data google_project.this",
        "google/cache/main.tf:3: it cannot be parsed",
    ):
        assert mistake in found


def test_what_nothing_uses_is_found(tree: Tree, tmp_path: Path) -> None:
    (tree.root / AWS / "budget" / "more.tf").write_text(
        'variable "unused" {\n  type = string\n}\n\nlocals {\n  nothing = 1\n}\n', encoding="utf-8"
    )
    alone = tree.root / AZURE / "alone"
    alone.mkdir()
    (alone / "main.tf").write_text("terraform {\n  required_providers {}\n}\n", encoding="utf-8")
    found = "\n".join(said_by_checkers("terraform_wiring", tree, tmp_path))
    assert "the variable unused is not used" in found
    assert "the variable unused has no description" in found
    assert "the local nothing is not used" in found
    assert "azure/alone:1: nothing calls this module" in found
    assert "azure/alone:1: no block terraform says its required_version" in found


def test_what_a_provider_would_refuse_is_found(tree: Tree, tmp_path: Path) -> None:
    database = f"{AWS}/database/main.tf"
    planted(tree, database, "storage_encrypted = true", "storage_encryption = true")
    planted(tree, database, "monitoring_interval = 60", 'monitoring_interval = "often"')
    planted(tree, database, "aws_db_instance.this.endpoint", "aws_db_instance.this.address_of")
    planted(tree, f"{AWS}/cache/main.tf", 'description = "${var.name}: ', '# description = "${var.name}: ')
    planted(tree, f"{AWS}/storage/main.tf", "  versioning_configuration {", "  versioning {")
    planted(tree, f"{AWS}/ecs/main.tf", "  deployment_circuit_breaker {", "  deployment_circuit_breaker = {")
    planted(tree, f"{AWS}/network/outputs.tf", "aws_vpc.this.id", "aws_vpc.this[0].id")
    planted(tree, f"{AWS}/registry/main.tf", 'resource "aws_ecr_lifecycle_policy"', 'resource "aws_ecr_lifecycle_policies"')
    planted(tree, f"{AZURE}/cluster/main.tf", "  oidc_issuer_enabled = true", "  oidc_enabled = true")
    planted(tree, f"{AZURE}/vault/main.tf", "value_wo =", "value_secret =")
    planted(tree, f"{GOOGLE}/cluster/main.tf", "    machine_type =", "    machine_kind =")
    planted(tree, f"{GOOGLE}/database/main.tf", "ssl_mode =", "tls_mode =")
    found = "\n".join(said_by_checkers("terraform_schemas", tree, tmp_path))
    for mistake in (
        "aws_db_instance has no argument storage_encryption",
        "aws_db_instance: monitoring_interval is a number",
        "aws_db_instance has no attribute address_of",
        "aws_elasticache_replication_group needs description",
        "aws_s3_bucket_versioning has no block versioning",
        "aws_s3_bucket_versioning needs versioning_configuration",
        "aws_ecs_service: deployment_circuit_breaker is a block, and is written without =",
        "aws_vpc.this is there once, and is named with an index",
        "no provider has the resource aws_ecr_lifecycle_policies",
        "azurerm_kubernetes_cluster has no argument oidc_enabled",
        "azurerm_key_vault_secret has no argument value_secret",
        "google_container_node_pool.node_config has no argument machine_kind",
        "google_sql_database_instance.settings.ip_configuration has no argument tls_mode",
    ):
        assert mistake in found


def test_what_stacks_share_is_found(tree: Tree, tmp_path: Path) -> None:
    staging, production = f"{LIVE}/aws/staging", f"{LIVE}/aws/production"
    planted(tree, f"{staging}/versions.tf", '"genai-staging-state-222222222222"', '"genai-dev-state-111111111111"')
    planted(tree, f"{staging}/main.tf", '"10.20.0.0/16"', '"10.10.128.0/17"')
    planted(tree, f"{production}/versions.tf", "use_lockfile = true", "")
    planted(tree, f"{production}/main.tf", "role/operators", "role/of-222222222222")
    planted(tree, f"{LIVE}/azure/dev/main.tf", 'environment = "dev"', 'environment = "staging"')
    planted(tree, f"{LIVE}/google/staging/main.tf", '"example-genai-staging"', '"example-genai-dev"')
    (tree.root / LIVE / "azure/staging/more.tf").write_text(
        'data "terraform_remote_state" "dev" {\n  backend = "azurerm"\n}\n\nmodule "other" {\n  source = "../dev"\n}\n',
        encoding="utf-8",
    )
    found = "\n".join(said_by_checkers("terraform_stacks", tree, tmp_path))
    for mistake in (
        "aws/staging:1: it has the state genai-dev-state-111111111111 of aws/dev",
        "its network 10.10.128.0/17 overlaps 10.10.0.0/16 of aws/dev",
        "the backend needs use_lockfile = true",
        "it names 222222222222 of aws/staging",
        "azure/dev:1: its local environment is not dev",
        "google/staging:1: it has the account example-genai-dev of google/dev",
        "it reads a state of its own or another's",
        "its source is in a live stack",
    ):
        assert mistake in found


def test_a_cache_of_answers_is_found(tree: Tree, tmp_path: Path, application: Application) -> None:
    planted(tree, f"{AWS}/cdn/main.tf", '"/static/*"', '"/api/*"')
    planted(tree, f"{AZURE}/front/main.tf", '"/favicon.ico"', '"/ask"')
    planted(tree, f"{GOOGLE}/load_balancer/main.tf", "  cached_paths =", "  paths =")
    found = "\n".join(said_by_checkers("terraform_caches", tree, tmp_path, application))
    assert "/api/* would keep answers of /api/v1/" in found
    assert "/ask is nothing that may be kept" in found
    assert "google_compute_url_map does not say what it keeps" in found


def test_what_waits_for_itself_is_found(tree: Tree, tmp_path: Path) -> None:
    planted(tree, f"{AWS}/keys/main.tf", "${var.name}: data at rest", "${aws_kms_alias.rest.name}: data at rest")
    second = f"{LIVE}/google/production/main.tf"
    planted(tree, second, 'region = "europe-west1"', 'region = module.platform.secret_ids["genai-admin-key"]')
    found = said_by_checkers("terraform_cycles", tree, tmp_path)
    assert {each.split(":")[0] for each in found} == {
        *(f"{LIVE}/aws/{environment}" for environment in ("dev", "staging", "production")),
        f"{LIVE}/google/production",
    }
    assert "module.platform.module.keys.aws_kms_key.rest" in found[0]


def test_an_unknown_setting_of_a_container_is_found(tree: Tree, application: Application) -> None:
    tree.application = application
    planted(tree, f"{AWS}/ecs/main.tf", "GENAI_RETRIEVAL__STORE", "GENAI_RETRIEVAL__STORES")
    assert any("GENAI_RETRIEVAL__STORES is no setting of the application" in each for each in said("names", tree))


def test_rights_to_everything_are_found(tree: Tree, tmp_path: Path) -> None:
    assert said_by_checkers("terraform_rights", tree, tmp_path) == []
    identity = f"{AWS}/identity/main.tf"
    planted(tree, identity, '"s3:GetObject", "s3:PutObject", "s3:DeleteObject"', '"s3:*"')
    planted(tree, identity, '"bedrock:InvokeModel", ', '"bedrock:Invoke*", ')
    planted(tree, f"{AZURE}/identity/main.tf", '"AcrPush"', '"Contributor"')
    planted(tree, f"{GOOGLE}/identity/main.tf", '"roles/aiplatform.user"', '"roles/editor"')
    found = "\n".join(said_by_checkers("terraform_rights", tree, tmp_path))
    for mistake in (
        "platform: the action s3:* is more than one",
        "platform: the action bedrock:Invoke* is more than one",
        "azure/identity/main.tf:",
        "Contributor may do nearly everything",
        "roles/editor may do nearly everything",
    ):
        assert mistake in found


def test_a_line_that_is_not_formatted_is_found(tree: Tree, tmp_path: Path) -> None:
    planted(tree, f"{AWS}/budget/variables.tf", "type =", "type =")
    assert said_by_checkers("terraform_format", tree, tmp_path) == [f"{AWS}/budget/variables.tf:2: it is not formatted"]


@pytest.mark.skipif(not CHECKOV.exists(), reason="make lint-infra has not made .venv-checkov")
def test_what_checkov_says_and_a_skip_without_a_reason_are_found(tmp_path: Path) -> None:
    alone = Tree(tmp_path / "tree")
    directory = alone.root / TERRAFORM
    directory.mkdir(parents=True)
    (directory / "main.tf").write_text(
        'resource "aws_ebs_volume" "open" {\n  #checkov:skip=CKV_AWS_189\n  availability_zone = "a"\n  size = 1\n}\n',
        encoding="utf-8",
    )
    found = "\n".join(said_by_checkers("terraform_scan", alone, tmp_path))
    assert "main.tf:2: CKV_AWS_189 is skipped without a reason" in found
    assert "main.tf:1: CKV_AWS_3 aws_ebs_volume.open" in found
