"""Where deployments are, and which of them may see a tenant's data by its data policy."""

from collections.abc import Sequence
from ipaddress import ip_address
from re import compile as pattern
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from core.context import current
from core.errors import DataPolicyRefused
from core.policies.events import report
from core.policies.policy import LOCAL, DataPolicy
from core.policies.store import Policies
from core.settings import Deployment, ProviderSettings, SettingsError, usual_variable
from core.tables import KillKind
from providers import PROVIDERS
from providers.served import Served

if TYPE_CHECKING:
    from providers.models import Models

#: What is said of a provider that is not there.
NO_PROVIDER: Final = "There is no provider {!r}: no alias, no setting and no kind of provider has that name."

#: A Bedrock inference profile sends a call to any region of its geography (AWS: cross-region inference, November 2026).
_PROFILE: Final = pattern(r"^(us-gov|us|eu|apac|au|ca|jp|global)\.")


def region_of(deployment: Deployment, configured: ProviderSettings | None) -> str | None:
    """The region that a deployment's calls are answered in, as far as settings and the model's name tell; None: not known.

    What the operator says of the deployment counts before what is configured for its provider.
    """
    kind = deployment.provider.partition(":")[0]
    if deployment.region is not None:
        return deployment.region
    if kind == "bedrock" and (profile := _PROFILE.match(deployment.model)):
        return profile[1]
    if configured is not None and configured.region is not None:
        return configured.region
    if kind == "bedrock":
        return usual_variable("AWS_REGION", "AWS_DEFAULT_REGION")
    if kind == "vertex":
        return usual_variable("GOOGLE_CLOUD_LOCATION", "GOOGLE_CLOUD_REGION") or "us-central1"
    return None


def unknown_provider(policy: DataPolicy, models: "Models") -> tuple[str, str] | None:
    """The field and the name of a provider in a data policy that is not there: one that is left out by a misspelt name would
    see the data. None where all are."""
    for field, names in (("providers", policy.providers or ()), ("exclude", policy.exclude)):
        for name in names:
            if name not in PROVIDERS and not models.knows(KillKind.PROVIDER, name):
                return field, name
    return None


def check_settings(models: "Models") -> None:
    """Refuse a start with a data policy that names a provider which is not there.

    Raises:
        SettingsError
    """
    if (unknown := unknown_provider(models.settings.policies.data, models)) is not None:
        field, name = unknown
        where = f"GENAI_POLICIES__DATA (policies.data.{field} in the TOML file)"
        raise SettingsError(f"These settings cannot be used:\n  {where}: {NO_PROVIDER.format(name[:128])}")


def is_here(deployment: Deployment) -> bool:
    """Whether the model runs on this machine: the bundled one, a file, or a server at a loopback address."""
    if deployment.provider.partition(":")[0] != LOCAL:
        return False
    host = urlsplit(deployment.model).hostname if "://" in deployment.model else None
    if host is None or host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def admitted(policies: Policies, deployments: Sequence[Served]) -> tuple[Served, ...]:
    """Those that may see the data of the request's tenant, in order."""
    policy = policies.of(current().principal.tenant)
    if not policy.limits_data:
        return tuple(deployments)
    return tuple(each for each in deployments if policy.data.admits(each.provider_name, each.region, here=each.here))


def refused(alias: str) -> DataPolicyRefused:
    """The error of a request that nobody may answer; it is reported."""
    report("data_policy.refused", alias=alias, capability=current().capability)
    return DataPolicyRefused(f"The data policy lets no deployment of the model {alias[:128]!r} see this data.", param="model")


def limits(policies: Policies) -> str | None:
    """What tells two data policies of the request's tenant apart; None where there is none."""
    policy = policies.of(current().principal.tenant)
    return policy.data.model_dump_json() if policy.limits_data else None
