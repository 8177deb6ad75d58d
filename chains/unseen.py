"""Pictures in a conversation while no model that sees is left: the text that OCR reads from them stands in their place."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, nullcontext
from typing import Any

import structlog

from chains.attachments import as_text, attachments, defused
from chains.messages import ImagePart, TextPart
from chains.pictures import parts_of
from chains.prompting import prompt
from chains.spec import ChainDeps, Delta
from core.context import sparing
from core.errors import ProviderFailed, RateLimited, Unavailable, UnsupportedFeature
from core.settings import Settings

log = structlog.get_logger()

PROMPT = "unseen.txt"


async def seen_or_read(
    deps: ChainDeps, alias: str | None, messages: Sequence[Any], answer: Callable[[Sequence[Any]], AsyncGenerator[Delta]]
) -> AsyncGenerator[Delta]:
    """What `answer` says to the messages; where it fails before it has said anything and the alias has a model that sees and
    one that does not, what it says to them with the text of their pictures.

    Raises:
        UnreadableFile: a picture is damaged or too large to read.
        what `answer` raises
    """
    readable = deps.models.sees(alias) and not deps.models.facts(alias, images=False).images

    async def unseen() -> AsyncGenerator[Delta]:
        async with aclosing(answer(await _read_out(messages, deps.settings))) as deltas:
            async for delta in deltas:
                yield delta

    async with aclosing(spared(answer(messages), unseen if readable else None, event="chat.unseen")) as deltas:
        async for delta in deltas:
            yield delta


async def spared(
    seen: AsyncGenerator[Delta], unseen: Callable[[], AsyncGenerator[Delta]] | None, *, event: str
) -> AsyncGenerator[Delta]:
    """The answer of a model that sees; where it fails before it has said anything, or none that sees may be called, the one
    without, if there is one.

    Raises:
        what `seen` raises, and `unseen` after it
    """
    began = False
    try:
        with sparing() if unseen else nullcontext():
            async with aclosing(seen) as deltas:
                async for delta in deltas:
                    began = True
                    yield delta
    except (ProviderFailed, RateLimited, Unavailable, UnsupportedFeature) as failure:
        unable = isinstance(failure, UnsupportedFeature) and failure.param != "messages"
        if began or unseen is None or unable:
            raise
        log.warning(event, reason=failure.code)
    else:
        return
    async with aclosing(unseen()) as deltas:
        async for delta in deltas:
            yield delta


async def _read_out(messages: Sequence[Any], settings: Settings) -> list[Any]:
    """The messages with text in the place of each picture; the same picture is read once."""
    urls = list(dict.fromkeys(part.image_url.url for part in parts_of(messages)))
    given = await asyncio.to_thread(attachments, urls, [], settings.limits)
    texts = {url: (await as_text(each, settings=settings)).text for url, each in zip(urls, given, strict=True)}
    return [_with(message, texts) for message in messages]


def _with(message: Any, texts: dict[str, str]) -> Any:
    if isinstance(message.content, str):
        return message
    content = [
        TextPart(type="text", text=_told(texts[part.image_url.url])) if isinstance(part, ImagePart) else part
        for part in message.content
    ]
    return message.model_copy(update={"content": content})


def _told(text: str) -> str:
    """The text, which cannot end its own mark."""
    return prompt(PROMPT).substitute(text=defused(text) or "(no text was found in it)").strip()
