"""Where a provider is called: never beyond this machine in plaintext, unless the operator allows it."""

from core.settings import ProviderSettings, TLSSettings, usual_variable
from core.transport.plaintext import refuse_plaintext

#: The clouds' usual variables that move a provider's address, by kind. AWS's profile may as well: `providers.bedrock` looks.
_VARIABLES = {
    "openai": ("OPENAI_BASE_URL", "OPENAI_API_BASE"),
    "azure": ("AZURE_OPENAI_ENDPOINT",),
    "bedrock": ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "AWS_ENDPOINT_URL"),
}


def refuse_plain_address(name: str, configured: ProviderSettings, tls: TLSSettings) -> None:
    """Hold the provider's address, wherever it is configured, against `tls.allow_plaintext`.

    Raises:
        SettingsError: prompts and keys would go beyond this machine in plaintext; the message names the setting.
    """
    if configured.base_url is not None:
        refuse_plaintext(configured.base_url, f"providers.{name}.base_url", tls)
        return
    for variable in _VARIABLES.get(name.partition(":")[0], ()):
        if address := usual_variable(variable):
            refuse_plaintext(address, variable, tls)
            return
