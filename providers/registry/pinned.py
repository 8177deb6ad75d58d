"""Prompts that aliases pin, as they come from elsewhere: a number is this registry's own, a text is the same everywhere."""

from collections.abc import Iterable, Mapping

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.errors import InvalidRequest, NotFound
from core.model_settings import PromptText
from core.principals import Principal
from core.settings import ModelAlias
from core.tables import Registered, RegistryVersion
from providers.registry.content import digest_of
from providers.registry.heads import Acting, found

Texts = Mapping[tuple[str, int], str]


def texts_of(given: Iterable[PromptText]) -> Texts:
    """The texts by name and number."""
    return {(each.name, each.version): each.text for each in given}


def pinned_texts(alias: ModelAlias, texts: Texts) -> dict[str, str]:
    """The texts of the prompts that the alias pins, by name, as far as they are given."""
    return {name: texts[name, number] for name, number in alias.prompts.items() if (name, number) in texts}


async def placed(
    session: AsyncSession, principal: Principal, alias: ModelAlias, texts: Texts, *, reason: str, source: str
) -> ModelAlias:
    """The alias with the numbers that its prompts have here. Of a text that no version has yet a draft is made.

    Raises:
        InvalidRequest: `invalid_version`: it pins a version that is not here, and no text of it is given.
    """
    numbers = dict(alias.prompts)
    for name, number in sorted(alias.prompts.items()):
        if (text := texts.get((name, number))) is not None:
            numbers[name] = await _number(session, principal, (name, number), text, reason=reason, source=source)
        elif number:
            await check_there(session, alias.alias, name, number)
    return alias if numbers == alias.prompts else alias.model_copy(update={"prompts": numbers})


async def check_there(session: AsyncSession, alias: str, name: str, number: int) -> None:
    """Raises InvalidRequest (`invalid_version`): there is no such version of the prompt that the alias pins."""
    try:
        await found(session, Registered.PROMPT, name, number)
    except NotFound:
        text = f"The alias {alias!r} pins version {number} of the prompt {name}, which is not there."
        raise InvalidRequest(text, code="invalid_version", param="prompts") from None


async def _number(
    session: AsyncSession, principal: Principal, wanted: tuple[str, int], text: str, *, reason: str, source: str
) -> int:
    """The number here of the text: the same one where that has it, else the first that has."""
    name, number = wanted
    content = {"text": text}
    acting = await Acting.on(session, principal, Registered.PROMPT, name, reason=reason, make=True)
    same = select(col(RegistryVersion.number)).where(
        RegistryVersion.subject == Registered.PROMPT.value,
        RegistryVersion.name == name,
        RegistryVersion.digest == digest_of(content),
    )
    numbers = (await session.exec(same.order_by(col(RegistryVersion.number)))).all()
    if numbers:
        return number if number in numbers else numbers[0]
    return (await acting.add(content, digest_of(content), source)).number
