"""Names of files on their way through a multipart form, which has no place for some characters."""

import re

_BROKEN = re.compile(r"(?:%[01][0-9A-F]|[\x00-\x1f])+")


def carried(name: str) -> str:
    """A file's name as its document is known by it. The HTML standard has clients send `"` as `%22`, and line breaks (httpx:
    other control characters as well) as `%0A`: the one is taken back, of the others a blank is left. May be repeated."""
    return _BROKEN.sub(" ", name.replace("%22", '"'))
