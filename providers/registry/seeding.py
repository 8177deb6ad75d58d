"""Aliases of the settings in the registry: version 1 at the first start, another one where the settings have changed since.

What was deployed otherwise stays, for as long as the settings say the same: a file that changed is a decision, one that did not
is none.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import structlog
from sqlalchemy.exc import IntegrityError
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.database import Database
from core.errors import InvalidRequest
from core.model_settings import PromptText
from core.principals import DEFAULT_TENANT, SYSTEM
from core.settings import ModelAlias, SettingsError
from core.tables import Registered, RegistryHead
from providers.registry.content import content_of, digest_of, plain, says_the_same
from providers.registry.heads import Acting, found
from providers.registry.pinned import Texts, pinned_texts, placed, texts_of

log = structlog.get_logger()

_REASON: Final = "The settings say so."
#: How often a start tries that meets others which start at the same time.
_TRIES: Final = 3


async def seed(database: Database, aliases: Iterable[ModelAlias], prompts: Iterable[PromptText] = ()) -> None:
    """Take up what the settings say of aliases, and of the `prompts` that these pin. Several processes may begin at once;
    nothing is done where nothing has changed.

    Raises:
        SettingsError: an alias pins a version of a prompt that is not there, and whose text the settings do not give.
    """
    said, texts = tuple(aliases), texts_of(prompts)
    for attempt in range(1, _TRIES + 1):
        async with database.session(all_tenants=True) as session:
            if not _changed(await _heads(session), said, texts):
                return
        try:
            async with database.transaction(DEFAULT_TENANT) as session:
                await _take(session, said, texts)
                break
        except InvalidRequest as error:
            hint = "give its text by [[prompts]], as an export of the registry does"
            raise SettingsError(f"models: {error.message.rstrip('.')}: {hint}") from None
        except IntegrityError:  # another has begun with the same name at the same time
            if attempt == _TRIES:
                raise


async def _heads(session: AsyncSession) -> dict[str, RegistryHead]:
    query = select(RegistryHead).where(RegistryHead.subject == Registered.MODEL.value)
    return {head.name: head for head in (await session.exec(query)).all()}


def _digest(alias: ModelAlias, texts: Texts, *, written: bool = False) -> str:
    """Of all that the settings say of the alias; with prices as they are `written` there, as it once was noted."""
    pinned, content = pinned_texts(alias, texts), content_of(alias)
    return digest_of((content if written else plain(content)) | ({"prompt_texts": pinned} if pinned else {}))


def _changed(heads: dict[str, RegistryHead], said: Sequence[ModelAlias], texts: Texts) -> bool:
    named = {alias.alias: _digest(alias, texts) for alias in said}
    if any(name not in heads or heads[name].file_digest != digest for name, digest in named.items()):
        return True
    return any(head.file_digest is not None and name not in named for name, head in heads.items())


async def _take(session: AsyncSession, said: Sequence[ModelAlias], texts: Texts) -> None:
    heads = await _heads(session)
    for alias in said:
        told = _digest(alias, texts)
        if alias.alias in heads and heads[alias.alias].file_digest == told:
            continue
        acting = await Acting.on(session, SYSTEM, Registered.MODEL, alias.alias, reason=_REASON, make=True)
        head = acting.head
        if head.file_digest == told:
            continue
        noted_before = head.file_digest == _digest(alias, texts, written=True)
        head.file_digest = told
        session.add(head)
        if noted_before:
            continue
        content = content_of(await placed(session, SYSTEM, alias, texts, reason=_REASON, source="file"))
        live = None if head.live is None else await found(session, Registered.MODEL, head.name, head.live)
        if live is None or not says_the_same(live.content, content) or head.candidate is not None:
            await acting.deploy(await acting.add(content, digest_of(content), "file"), checked=False)
            log.info("registry.file_deployed", alias=alias.alias, version=head.live)
    named = {alias.alias for alias in said}
    for name, head in heads.items():
        if head.file_digest is not None and name not in named:
            acting = await Acting.on(session, SYSTEM, Registered.MODEL, name, reason="The settings have it no more.")
            await acting.withdraw()
            log.info("registry.withdrawn", alias=name)
