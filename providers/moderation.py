"""Moderation endpoints in OpenAI's protocol: which categories a text belongs to."""

from typing import TYPE_CHECKING, Any, cast

import aiohttp
import orjson

from core.context import current
from core.errors import NotFound, Unavailable
from core.kill_switches.switches import killed
from core.policies.policy import Place
from core.settings import Deployment, SettingsError, Timeouts
from providers.openai_compatible import OpenAICompatibleProvider
from providers.places import is_here, refused, region_of
from providers.privacy import protected_texts
from providers.wire import limits_of

if TYPE_CHECKING:
    from providers.models import Models


async def moderated(models: "Models", provider: str, model: str, text: str, *, timeout_s: float) -> dict[str, float]:
    """The score of each category, 0 to 1, by `POST /moderations` of a configured provider; those that it flags have 1.

    Personal data and the data policy are heeded as for any call.

    Raises:
        Killed, DataPolicyRefused, PersonalDataBlocked
        Unavailable: `moderation_unavailable`: the provider has no such endpoint, or it does not answer as it should.
    """
    deployment = Deployment(provider=provider, model=model)
    tenant = current().principal.tenant
    models.kills.refuse(tenant, model)
    if models.kills.stops(tenant, provider, (model,)):
        raise killed(model)
    policy = models.policies.of(tenant).data
    account = models.accounts.account(tenant, provider)
    region = region_of(deployment, models.configured(provider)) if account is None else account.region(deployment)
    if not policy.admits(provider, region, here=is_here(deployment)):
        raise refused(f"{provider}/{model}")
    try:
        served = models.provider(provider) if account is None else account.provider
    except (SettingsError, NotFound) as error:
        raise _unavailable("provider") from error
    if not isinstance(served, OpenAICompatibleProvider):
        raise _unavailable("no_endpoint")
    [given] = await protected_texts(models.privacy, [text], Place.PROMPTS)
    limits = limits_of(Timeouts(total=timeout_s, connect=min(5, timeout_s)))
    try:
        async with await served.endpoint.wire.post("/moderations", {"model": model, "input": given}, limits) as response:
            body = await response.read()
        if response.status >= 400:
            raise _unavailable(f"status {response.status}")
        result = cast("dict[str, Any]", orjson.loads(body)["results"][0])
        flagged = {name for name, yes in result["categories"].items() if yes}
        scores = {name: float(score) for name, score in (result.get("category_scores") or {}).items()}
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise _unavailable(type(error).__name__) from error
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise _unavailable("form") from error
    return scores | dict.fromkeys(flagged, 1.0)


def _unavailable(reason: str) -> Unavailable:
    message = "The moderation model does not answer, so the text cannot pass."
    return Unavailable(message, code="moderation_unavailable", context={"reason": reason})
