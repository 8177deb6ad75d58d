"""`--rotate-encryption`: new keys for what is stored, beside the platform that serves it, or without one."""

import asyncio

from core.database import Database, keyring_of, migrate
from core.encryption.rotation import Rotation
from core.errors import PlatformError
from core.files import Files
from core.settings import Settings, SettingsError
from server.boot import say


def rotate_encryption(settings: Settings) -> int:
    """Rotate, and say how much was sealed anew. Returns the exit code; what was cut short goes on at the next call."""
    try:
        say(f"Sealed anew: {asyncio.run(_rotate(settings))}. Keep a new backup of the key file or key, apart from the data.")
    except (PlatformError, SettingsError) as error:
        say(f"The rotation came to a halt, and goes on when it is called again: {error}")
        return 1
    return 0


async def _rotate(settings: Settings) -> int:
    await asyncio.to_thread(migrate, settings)
    keyring = keyring_of(settings)
    await asyncio.to_thread(keyring.check)
    database = Database(settings, keyring)
    try:
        return (await Rotation(database, Files(settings, keyring)).run()).resealed
    finally:
        await database.close()
