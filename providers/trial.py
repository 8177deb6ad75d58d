"""Trying a credential: the provider's free probe, called with it, and what came back in words that are safe to show."""

import asyncio
import time
from dataclasses import dataclass
from typing import Final

from core.errors import InvalidRequest
from core.settings import ProviderSettings, SettingsError
from providers.accounts import built
from providers.failures import Kind
from providers.models import Models
from providers.probing import kind_of

#: A failure to build the provider at all, beside the kinds of failed calls.
SETTINGS: Final = "settings"
_SAID: Final = {
    "": "The provider takes the credential and serves the model.",
    SETTINGS: "The provider cannot be called with these settings.",
    Kind.AUTH: "The provider refuses the credential.",
    Kind.MISSING: "The provider answers, and does not have the model, or nothing is at the address.",
    Kind.RATE: "The provider limits the rate of requests, so it does not tell.",
    Kind.CONNECTION: "The provider cannot be reached.",
    Kind.TIMEOUT: "The provider did not answer in time.",
    Kind.REQUEST: "The provider rejects the request, so it does not tell.",
}
_OTHERWISE: Final = "The provider failed, so it does not tell."


@dataclass(frozen=True, slots=True)
class Trial:
    """How it went. `code` is empty where all is well, else a kind of failure or `settings`."""

    code: str
    model: str
    seconds: float

    @property
    def ok(self) -> bool:
        return not self.code

    @property
    def message(self) -> str:
        return _SAID.get(self.code, _OTHERWISE)


async def tried(models: Models, provider: str, configured: ProviderSettings, *, model: str | None = None) -> Trial:
    """Call the provider's probe with these settings, for one of its models; None is the first that an alias has.

    Raises:
        InvalidRequest: `nothing_to_try`: no alias has such a model, so there is nothing to ask for.
    """
    having = models.models_of(provider)
    if not having or model not in (None, *having):
        raise InvalidRequest("No alias has such a model of this provider.", code="nothing_to_try", param="model")
    asked = model or having[0]
    started = time.monotonic()
    code = await _code_of(models, provider, configured, asked)
    return Trial(code, asked, time.monotonic() - started)


async def _code_of(models: Models, provider: str, configured: ProviderSettings, model: str) -> str:
    try:
        made = await asyncio.to_thread(built, provider, models.settings, configured)
    except SettingsError:
        return SETTINGS
    try:
        async with asyncio.timeout(models.settings.probes.timeout_s):
            await made.probe(model)
    except Exception as error:  # noqa: BLE001 - any failure is what a trial is there to find
        return kind_of(error).value
    finally:
        await made.close()
    return ""
