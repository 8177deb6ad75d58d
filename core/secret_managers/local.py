"""Secrets of this machine: a variable, a file that an orchestrator mounts."""

from pathlib import Path

from core.secret_managers.references import SecretMissing
from core.settings import usual_variable

_LARGEST = 64 * 2**10


def from_environment(name: str) -> str:
    """The variable of that name."""
    value = usual_variable(name)
    if value is None:
        raise SecretMissing("the variable is not set")
    return value


def from_file(path: str) -> str:
    """What the file holds, without the line end that editors add."""
    try:
        with Path(path).expanduser().open("rb") as file:
            content = file.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise SecretMissing("the file is too large")
        return content.decode().rstrip("\r\n")
    except OSError as error:
        raise SecretMissing(f"the file cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise SecretMissing("the file is no text") from error
