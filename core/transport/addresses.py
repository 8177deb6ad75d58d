"""The form of the addresses in the settings."""

from urllib.parse import urlsplit

#: What drivers say of such a URL shows what they took for its host or port: a piece of the password.
_NO_ADDRESS = "it is no address; in a password, characters such as @ / : # are written as %40 %2F %3A %23"


def checked_public_url(value: str | None) -> str | None:
    """Raises ValueError: it is no address that people could open."""
    parts = urlsplit(value or "http://none")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("it must be an address such as https://genai.example.com")
    return value


def checked_database_url(value: str | None) -> str | None:
    """None for an empty one. Raises ValueError: it is no address of a database that the platform can use."""
    if value and not value.startswith(("postgresql://", "postgres://", "postgresql+psycopg://", "sqlite:///")):
        raise ValueError("it must begin with postgresql:// or sqlite:///")
    if value:
        from sqlalchemy.engine import make_url  # heavy, and needed anyway where there is a URL
        from sqlalchemy.exc import ArgumentError

        try:
            host = make_url(value).host
        except (ValueError, ArgumentError):
            host = "@"
        if host and "@" in host:
            raise ValueError(_NO_ADDRESS)
    return value or None


def checked_redis_url(value: str | None) -> str | None:
    """None for an empty one. Raises ValueError: it is no address of a broker."""
    if value and not value.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError("it must begin with redis://, rediss:// or unix://")
    try:
        parts = urlsplit(value or "")
        parts.port  # noqa: B018 - raises where it is none
    except ValueError:
        raise ValueError(_NO_ADDRESS) from None
    if parts.netloc.count("@") > 1:
        raise ValueError(_NO_ADDRESS)
    return value or None


def checked_server_url(value: str | None) -> str | None:
    """None for an empty one. Raises ValueError: it is no address of a server that is spoken to by HTTP."""
    parts = urlsplit(value or "http://none")
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("it must be an address such as https://vectors.example.com:6333, without a name or password")
    return value or None
