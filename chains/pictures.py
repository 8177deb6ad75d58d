"""Images that a message names by address: fetched here, under the platform's own guard, and sent on within the message.

So every provider can take them, and none fetches for a caller from the operator's network.
"""

import asyncio
import base64
from collections.abc import Sequence
from typing import Any

from chains.messages import ImageAddress, ImagePart
from core.errors import InvalidRequest, PlatformError
from core.settings import Settings
from retrievers.fetching import fetch
from retrievers.images import check_image

#: Addresses of one request.
MAX_FETCHED = 16
_AT_ONCE = 4


async def with_images_inside(messages: Sequence[Any], settings: Settings) -> Sequence[Any]:
    """The messages with `data:` URLs alone.

    Raises:
        InvalidRequest: `url_refused`, `fetch_failed`, too many addresses, or not an image; `param` names the address.
    """
    addresses = list({part.image_url.url: None for part in parts_of(messages) if not part.image_url.url.startswith("data:")})
    if not addresses:
        return messages
    if len(addresses) > MAX_FETCHED:
        raise InvalidRequest(f"A request may name at most {MAX_FETCHED} images by address.", param="messages")
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(address: str) -> str:
        async with slots:
            return await _fetched(address, settings)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_quietly(one(address))) for address in addresses]
    inside: dict[str, str] = {}
    for address, task in zip(addresses, tasks, strict=True):
        if isinstance(found := task.result(), PlatformError):
            raise found
        inside[address] = found
    return [_with(message, inside) for message in messages]


async def _quietly(work: Any) -> Any:
    """A refusal as a value: as an exception the group would wrap it."""
    try:
        return await work
    except PlatformError as error:
        return error


async def _fetched(address: str, settings: Settings) -> str:
    limits = settings.limits.model_copy(update={"upload_bytes": settings.limits.inline_bytes})
    try:
        content, _ = await fetch(address, settings=settings.model_copy(update={"limits": limits}))
        image = await asyncio.to_thread(check_image, content, settings.limits)
    except PlatformError as error:
        raise InvalidRequest(f"An image cannot be used: {error.message}", code=error.code, param="image_url") from error
    encoded = await asyncio.to_thread(base64.b64encode, content)
    return f"data:{image.media_type};base64,{encoded.decode()}"


def parts_of(messages: Sequence[Any]) -> list[ImagePart]:
    """The pictures in the messages, in their order."""
    return [
        part
        for message in messages
        if not isinstance(message.content, str)
        for part in message.content
        if isinstance(part, ImagePart)
    ]


def _with(message: Any, inside: dict[str, str]) -> Any:
    if isinstance(message.content, str):
        return message
    content = [
        part.model_copy(update={"image_url": ImageAddress.model_construct(url=inside[url], detail=part.image_url.detail)})
        if isinstance(part, ImagePart) and (url := part.image_url.url) in inside
        else part
        for part in message.content
    ]
    return message.model_copy(update={"content": content})
