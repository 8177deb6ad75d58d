"""Parts that an installation may be without, because its image was built so (`EXTRAS` of infra/docker/Dockerfile). What needs
one says so before anything is started, rather than fail at its import."""

from importlib.util import find_spec

from core.settings import SettingsError

#: What a part is for is said by docs/deployment.md.
LOCAL_MODELS, CHROMA, QDRANT, VERTEX = "local-models", "chroma", "qdrant-embedded", "vertex"


def lacks(*modules: str) -> bool:
    """Whether one of these modules is not installed; imports nothing."""
    return any(find_spec(module) is None for module in modules)


def require_part(part: str, *modules: str, setting: str, instead: str) -> None:
    """Refuse what a setting asks for where the part that carries it is not installed.

    Raises:
        SettingsError: the message names the setting, the part, and what would do in its place.
    """
    if lacks(*modules):
        raise SettingsError(
            f"These settings cannot be used:\n  {setting}: this installation is without its part {part}. {instead}, or take an "
            f"image that was built with {part} among its EXTRAS."
        )
