"""An overlay says of an installation what its stack will tell, whatever part of it a cloud makes up."""

from pathlib import Path

from tests.infra.planted import copied, needs_checkers, replaced, said_by_checkers

OVERLAYS, STACKS = "infra/k8s/overlays", "infra/terraform/modules"


@needs_checkers
def test_each_thing_that_overlay_and_stack_say_differently_is_found(tmp_path: Path) -> None:
    """Planted at once, on both sides: a run computes nine stacks."""
    tree = copied(tmp_path / "tree", OVERLAYS, "infra/argocd/overlays", "infra/terraform")
    aws, azure, second = (f"{OVERLAYS}/{place}" for place in ("staging/aws", "dev/azure", "second/gcp"))
    replaced(tree, f"{STACKS}/aws/keys/main.tf", '"alias/${var.tenants_alias}"', '"alias/${var.tenants_alias}-keys"')
    replaced(tree, f"{aws}/values.yaml", "balancer: genai-staging", "balancer: platform-staging")
    replaced(tree, f"{aws}/values.yaml", "controller: eks.amazonaws.com/alb", "controller: ingress.k8s.aws/alb")
    replaced(tree, f"{aws}/values.yaml", "webacl/genai-staging/", "webacl/genai/")
    replaced(tree, f"{aws}/settings.env", ',"203.0.113.0/24"', "")
    replaced(tree, f"{aws}/kustomization.yaml", "222222222222.dkr", "333333333333.dkr")
    replaced(tree, f"{azure}/settings.env", "ACCOUNT_NAME=genaideva0d3e0", "ACCOUNT_NAME=genaidev")
    replaced(tree, f"{azure}/settings.env", "az://files/files", "az://genaideva0d3e0/files")
    replaced(tree, f"{azure}/values.yaml", "10.40.0.0/16", "10.41.0.0/16")
    replaced(tree, f"{second}/values.yaml", "url: genai-database-url-second", "url: genai-database-url")
    replaced(tree, f"{second}/values.yaml", "  endpoints: genai-server\n", "  groups: genai-server\n")
    replaced(tree, f"{STACKS}/google/load_balancer/main.tf", 'endpoints = "genai-server"', 'endpoints = "platform"')
    replaced(tree, "infra/argocd/overlays/second/aws/values.yaml", "production-second-cert", "production-cert")
    found = "\n".join(said_by_checkers("installations", tree, tmp_path))
    for mistake in (
        "KEY_ID is alias/genai-staging, and by Terraform's stack alias/genai-staging-keys",
        "balancer is platform-staging, and by Terraform's stack genai-staging",
        "controller is ingress.k8s.aws/alb, and by Terraform's stack eks.amazonaws.com/alb",
        "and by Terraform's stack arn:aws:wafv2:eu-central-1:222222222222:regional/webacl/genai-staging/…",
        'GENAI_PROXIES__TRUSTED is ["10.20.0.0/16"], and by Terraform\'s stack ["10.20.0.0/16",…]',
        "and by Terraform's stack 222222222222.dkr.ecr.eu-central-1.amazonaws.com/genai-platform",
        "AZURE_STORAGE_ACCOUNT_NAME is genaidev, and by Terraform's stack genaideva0d3e0",
        "GENAI_FILES_URL is az://genaideva0d3e0/files, and by Terraform's stack az://files/files",
        "network is 10.41.0.0/16, and by Terraform's stack 10.40.0.0/16",
        "secret-database-url is genai-database-url, and by Terraform's stack genai-database-url-second",
        "second/gcp/values.yaml:1: endpoints is missing, which Terraform's stack tells",
        "groups is not told by Terraform's stack",
        "dev/gcp/values.yaml:19: endpoints is genai-server, and by Terraform's stack platform",
        "and by Terraform's stack arn:aws:iam::333333333333:role/genai-production-second-certificates",
    ):
        assert mistake in found, found
    assert "production/azure" not in found
