"""The administrator's key and sign-in link: made at the first start, and made anew when the link is lost."""

import asyncio
from collections.abc import Callable

from sqlalchemy.exc import OperationalError

from core.database import Database, is_made, migrate
from core.errors import NotFound
from core.keys import has_secret
from core.principals import DEFAULT_TENANT
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


class NoAdministrator(Exception):
    """There is nobody whom a link could sign in; the message is for the person at the terminal."""


async def new_sign_in_link(settings: Settings) -> str:
    """The same for a platform that may or may not be running: opens its database beside it, and makes neither a database,
    nor a secret, nor an administrator.

    Raises:
        NoAdministrator: the settings lead to no platform, or to one without an administrator.
    """
    await asyncio.to_thread(_check_is_there, settings)
    await asyncio.to_thread(migrate, settings)
    database = Database(settings)
    try:
        access = await Access.open(settings, database)
        try:
            administrator = await access.keys.get(DEFAULT_TENANT, ADMINISTRATOR_ID)
        except NotFound:
            raise NoAdministrator("The platform has no administrator yet. Start it once: its first start makes one.") from None
        if administrator.revoked_at is not None:
            raise NoAdministrator(
                "The administrator's key was revoked. Start the platform once with GENAI_ADMIN_KEY set to a new one."
            )
        return await sign_in_link(settings, access)
    finally:
        await database.close()


def _check_is_there(settings: Settings) -> None:
    where = settings.data_dir.expanduser().resolve()
    hint = "Give the settings that it was started with: GENAI_DATA_DIR or --data-dir, GENAI_DATABASE_URL, GENAI_SECRET_KEY."
    try:
        made = is_made(settings)
    except OperationalError:
        raise NoAdministrator(f"The database does not answer. {hint}") from None
    if not made:
        place = "in the database of GENAI_DATABASE_URL" if settings.database_url else f"in {where}"
        raise NoAdministrator(f"There is no platform {place}. {hint}")
    if not has_secret(settings):
        raise NoAdministrator(f"The secret that the platform was started with is not in {where}. {hint}")
