"""What each live stack will tell of itself: its outputs, computed from its literals and from how the clouds make names."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from infra.lint import hcl
from infra.lint.evaluate import GAP, Scope, Thing
from infra.lint.stacks import Stack

#: What an overlay is made for, whatever the stack runs on.
_INSTEAD = {"aws": {"compute": "eks"}}


def told(stack: Stack, output: str) -> Any:
    """The value of a stack's output; see `infra.lint.evaluate` for what is not known in it."""
    return Scope(stack.module, _SAYS, _place(stack), cache(hcl.read), instead=_INSTEAD.get(stack.cloud, {})).output(output)


def _place(stack: Stack) -> Mapping[str, str]:
    """Account and region as the stack's locals and providers say them; `region.ALIAS` for providers of another."""
    place = {name: str(found[1].literal) for name, found in stack.module.locals.items() if isinstance(found[1].literal, str)}
    for block in stack.module.of("provider"):
        if "region" in block.attributes:
            alias = block.attributes["alias"].literal if "alias" in block.attributes else None
            place[f"region.{alias}" if alias else "region"] = str(block.attributes["region"].literal)
    return place


def _placed(name: str) -> Callable[[Thing], str]:
    return lambda thing: thing.scope.place.get(name, GAP)


def _arn(service: str, rest: str, *, regional: bool = True) -> Callable[[Thing], str]:
    """`rest` is a resource within its account, its argument `name` in it."""

    def told(thing: Thing) -> str:
        place = thing.scope.place
        region = place.get("region", GAP) if regional else ""
        return f"arn:aws:{service}:{region}:{place.get('account', GAP)}:{rest.format(name=thing.text('name'), any=GAP)}"

    return told


def _key_of_a_vault(thing: Thing) -> str:
    vault = thing.get("key_vault_id")
    return f"https://{vault.text('name') if isinstance(vault, Thing) else GAP}.vault.azure.net/keys/{thing.text('name')}"


_SAYS: Mapping[tuple[str, str], Callable[[Thing], Any]] = {
    ("aws_region", "region"): _placed("region"),
    ("aws_caller_identity", "account_id"): _placed("account"),
    ("aws_acm_certificate", "arn"): _arn("acm", "certificate/{any}"),
    ("aws_wafv2_web_acl", "arn"): _arn("wafv2", "regional/webacl/{name}/{any}"),
    ("aws_iam_role", "arn"): _arn("iam", "role/{name}", regional=False),
    ("aws_ecr_repository", "repository_url"): lambda it: (
        f"{it.scope.place.get('account', GAP)}.dkr.ecr.{it.scope.place.get('region', GAP)}.amazonaws.com/{it.text('name')}"
    ),
    ("aws_s3_bucket", "id"): lambda it: it.text("bucket"),
    ("azurerm_client_config", "subscription_id"): _placed("subscription_id"),
    ("azurerm_container_registry", "login_server"): lambda it: f"{it.text('name')}.azurecr.io",
    ("azurerm_key_vault", "vault_uri"): lambda it: f"https://{it.text('name')}.vault.azure.net/",
    ("azurerm_key_vault_key", "versionless_id"): _key_of_a_vault,
    ("google_artifact_registry_repository", "name"): lambda it: it.text("repository_id"),
    ("google_kms_key_ring", "id"): lambda it: (
        f"projects/{it.scope.place.get('project', GAP)}/locations/{it.text('location')}/keyRings/{it.text('name')}"
    ),
    ("google_kms_crypto_key", "id"): lambda it: f"{it.text('key_ring')}/cryptoKeys/{it.text('name')}",
    ("google_service_account", "email"): lambda it: (
        f"{it.text('account_id')}@{it.scope.place.get('project', GAP)}.iam.gserviceaccount.com"
    ),
}
