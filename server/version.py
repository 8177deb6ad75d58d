"""Which version of the platform is installed."""

from importlib.metadata import PackageNotFoundError, version


def platform_version() -> str:
    """The installed version; `0` in a tree that is not installed."""
    try:
        return version("genai-platform")
    except PackageNotFoundError:
        return "0"
