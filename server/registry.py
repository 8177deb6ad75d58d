"""Checking what a version of an alias would hold, before it is kept: what cannot work is refused where it is made."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from core.errors import InvalidRequest, PlatformError, UnsupportedFeature
from core.model_settings import PromptText
from core.settings import ModelAlias, SettingsError
from core.shown_names import shown
from providers.models import LOCAL
from providers.registry.content import alias_of, check_prompt
from server.state import State


async def checked_alias(state: State, content: Mapping[str, Any]) -> ModelAlias:
    """The alias that the content speaks of, whose providers can be built here, and whose guards and prompts are there.

    Raises:
        InvalidRequest: `invalid_version`, `invalid_guard`.
    """
    alias = alias_of(content)
    await asyncio.to_thread(_check, state, alias)
    return alias


def check_prompts(prompts: Iterable[PromptText]) -> None:
    """Refuse texts that the capabilities could not ask with.

    Raises:
        InvalidRequest: `invalid_prompt`; the message names which of them.
    """
    from chains.prompting import DIVIDER, built_in, names

    for each in prompts:
        if each.name not in names():
            raise InvalidRequest(f"There is no prompt {shown(each.name)!r}.", code="invalid_prompt", param="prompts")
        try:
            check_prompt(each.text, built_in(each.name).template, (DIVIDER,))
        except InvalidRequest as error:
            text = f"Version {each.version} of {each.name}: {error.message}"
            raise InvalidRequest(text, code="invalid_prompt", param="prompts") from None


def _check(state: State, alias: ModelAlias) -> None:
    from chains.prompting import names
    from chains.protection.guarding import checked, unknown_capability

    for deployment in alias.deployments:
        if deployment.provider == LOCAL and not _may_be_named(state, deployment.model):
            text = "Files and addresses of local models are for the settings to name: give one that is named there."
            raise InvalidRequest(text, code="invalid_version", param="deployments")
    try:
        state.models.versions.check(alias)
    except SettingsError as error:
        raise InvalidRequest(_reason(str(error)), code="invalid_version", param="deployments") from None
    except UnsupportedFeature as error:
        raise InvalidRequest(error.message, code="invalid_version", param="parameters") from None
    except PlatformError as error:
        raise InvalidRequest(error.message, code="invalid_version", param="deployments") from None
    for rule in alias.guards:
        checked(rule)
    if (unknown := unknown_capability((), alias.guards)) is not None:
        raise InvalidRequest(f"There is no capability {shown(unknown)!r}.", code="invalid_guard", param="guards")
    if strange := sorted(set(alias.prompts) - set(names())):
        raise InvalidRequest(f"There is no prompt {shown(strange[0])!r}.", code="invalid_version", param="prompts")


def _may_be_named(state: State, model: str) -> bool:
    """Whether a local model is one by its name, or one that the settings have: nobody who calls this opens a file or an address
    of their choice."""
    named = {each.model for alias in state.settings.aliases for each in alias.deployments if each.provider == LOCAL}
    return model in named | {state.settings.local.chat_model} or not ("://" in model or model.endswith(".gguf"))


def _reason(text: str) -> str:
    """What a start would say of it, on one line."""
    return " ".join(text.split())[:500]
