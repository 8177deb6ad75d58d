"""The administrator's key and sign-in link: made at the first start, and made anew when the link is lost."""

import asyncio
from collections.abc import Callable

from core.database import Database, migrate
from core.settings import Settings
from server.access.access import Access
from server.access.keys import ADMINISTRATOR_ID

#: Called at the first start with the administrator's key (None when it was configured) and a sign-in link.
Greet = Callable[[str | None, str], None]


async def welcome_administrator(settings: Settings, access: Access, greet: Greet | None = None) -> None:
    """Make sure that there is an administrator; tell `greet` when this is the first start."""
    configured = settings.admin_key.get_secret_value() if settings.admin_key else None
    made = await access.keys.ensure_administrator(configured)
    if made is not None and greet is not None:
        greet(None if configured else made, await sign_in_link(settings, access))


async def sign_in_link(settings: Settings, access: Access) -> str:
    """A link that signs the administrator in, once, within a day."""
    token = await access.sessions.make_link_token(ADMINISTRATOR_ID)
    return f"{settings.base_url}/signin?token={token}"


async def new_sign_in_link(settings: Settings) -> str:
    """The same for a platform that may or may not be running: opens its database beside it."""
    await asyncio.to_thread(migrate, settings)
    database = Database(settings)
    try:
        access = await Access.open(settings, database)
        await welcome_administrator(settings, access)
        return await sign_in_link(settings, access)
    finally:
        await database.close()
