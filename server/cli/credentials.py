"""Where the command line keeps the keys of the platforms that its user has logged in to."""

import json
import os
from pathlib import Path

import typer


def _file() -> Path:
    return Path(typer.get_app_dir("genai-platform")) / "credentials.json"


def saved_key(url: str) -> str | None:
    """The key kept for the platform at `url`; None where there is none."""
    return _read().get(url)


def save_key(url: str, key: str) -> Path:
    """Keep a key in a file that only its owner can read, and say where."""
    path = _file()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    _write(path, _read() | {url: key})
    return path


def forget_key(url: str) -> bool:
    """Whether there was a key to forget."""
    kept = _read()
    if kept.pop(url, None) is None:
        return False
    _write(_file(), kept)
    return True


def _read() -> dict[str, str]:
    try:
        kept = json.loads(_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(url): str(key) for url, key in kept.items()} if isinstance(kept, dict) else {}


def _write(path: Path, kept: dict[str, str]) -> None:
    fresh = path.with_suffix(".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(kept, file, indent=2)
    fresh.replace(path)
