"""Lazy tables of plugins: a name, and where the class is that bears it.

Each package that can be extended holds one `PluginTable`; a new provider, store, chain, metric or job is one new file and
one line in that table. A user's own package adds to it through the entry-point group `genai.<package>`.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from core.errors import NotFound
from core.settings import SettingsError


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
        """
        if name not in self._targets:
            raise NotFound(f"There is no {self.group} plugin named {name!r}; known are {', '.join(sorted(self))}.")
        return load_target(self._targets[name])
