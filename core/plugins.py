"""Lazy tables of plugins: a name, and where the class is that bears it.

Each package that can be extended holds one `PluginTable`; a new provider, store, chain, metric or job is one new file and
one line in that table. A user's own package adds to it through the entry-point group `genai.<package>`.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

import structlog

from core.contained import contained
from core.errors import NotFound, PlatformError, PluginUnavailable
from core.settings import SettingsError

log = structlog.get_logger()


def load_target(target: str) -> Any:
    """What `package.module:name` names, imported now."""
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)


class PluginTable(Mapping[str, str]):
    """`name -> "package.module:Class"`. Nothing is imported until `load` is called for a name.

    An entry point cannot replace a built-in name: the first one wins, so that an installed package never changes what a
    configured name means.
    """

    def __init__(self, group: str, builtin: Mapping[str, str]) -> None:
        self.group = f"genai.{group}"
        self._builtin = frozenset(builtin)
        self._targets = dict(builtin)
        for point in entry_points(group=self.group):
            self._targets.setdefault(point.name, point.value)

    def __getitem__(self, name: str) -> str:
        return self._targets[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._targets)

    def __len__(self) -> int:
        return len(self._targets)

    def require(self, name: str, setting: str) -> None:
        """Refuse a setting that names a plugin which is not there; imports nothing.

        Raises:
            SettingsError: no plugin of that name; the message names `setting`.
        """
        if name not in self._targets:
            what = f"there is no {self.group} plugin named {name!r}; known are {', '.join(sorted(self))}"
            raise SettingsError(f"These settings cannot be used:\n  {setting}: {what}")

    def load(self, name: str) -> Any:
        """The object that bears the name, imported now.

        Raises:
            NotFound: no plugin of that name.
            PluginUnavailable: it is an installed package's, and cannot be imported.
        """
        if name not in self._targets:
            raise NotFound(f"There is no {self.group} plugin named {name!r}; known are {', '.join(sorted(self))}.")
        if name in self._builtin:
            return load_target(self._targets[name])
        try:
            with contained():
                return load_target(self._targets[name])
        except (PlatformError, SettingsError, MemoryError):
            raise
        except Exception as error:  # the boundary of a plugin: whatever its import raises
            log.exception("plugin.not_loaded", group=self.group, plugin=name)
            what = f"The {self.group} plugin {name!r} ({self._targets[name]}) cannot be loaded: {type(error).__name__}."
            raise PluginUnavailable(what) from error
