"""Origins of web pages, exactly as browsers name them in `Origin` (RFC 6454): scheme, host and port."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, StringConstraints

_DEFAULT_PORTS = {"http": 80, "https": 443}


def canonical(given: str) -> str:
    """The origin as a browser sends it: in lower case, its host in ASCII, without the port that its scheme has anyway.

    Raises:
        ValueError: it is no origin of a web page, or more than one, as with a wildcard.
    """
    try:
        parts = urlsplit(given)
        host, port = (parts.hostname or "").encode("idna").decode("ascii"), parts.port
    except (ValueError, UnicodeError) as error:
        raise ValueError("this is no origin") from error
    harmless = all(character.isalnum() or character in "-._:" for character in host)
    if parts.scheme not in _DEFAULT_PORTS or not host or not harmless:
        raise ValueError("an origin is http or https and a host, as https://app.example.com; there are no wildcards")
    if parts.path or parts.query or parts.fragment or "@" in parts.netloc or given[-1:] in "?#":
        raise ValueError("an origin has no path: scheme, host and port alone, without a slash at its end")
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}" + ("" if port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{port}")


Origin = Annotated[str, StringConstraints(min_length=1, max_length=300, strip_whitespace=True), AfterValidator(canonical)]
