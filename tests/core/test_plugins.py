"""Plugin tables: lazy, extensible by entry points, clear about what is not there."""

import importlib
import sys
from importlib.metadata import EntryPoint

import pytest

from core import plugins
from core.errors import NotFound, PluginUnavailable
from core.plugins import PluginTable


def test_nothing_is_imported_before_it_is_asked_for() -> None:
    sys.modules.pop("this", None)
    PluginTable("examples", {"zen": "this:s"})
    assert "this" not in sys.modules


def test_a_name_gives_what_bears_it() -> None:
    assert PluginTable("examples", {"loads": "json:loads"}).load("loads") is importlib.import_module("json").loads


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(NotFound, match="loads"):
        PluginTable("examples", {"loads": "json:loads"}).load("dumps")


def test_an_installed_package_adds_names_and_replaces_none(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [EntryPoint("extra", "json:dumps", "genai.examples"), EntryPoint("loads", "json:dumps", "genai.examples")]
    monkeypatch.setattr(plugins, "entry_points", lambda group: [point for point in points if point.group == group])
    table = PluginTable("examples", {"loads": "json:loads"})
    assert dict(table) == {"loads": "json:loads", "extra": "json:dumps"}


@pytest.mark.parametrize("target", ["json:Missing", "no_such_module:x", "json", "tests.fakes.leaving:x"])
def test_an_installed_package_whose_plugin_cannot_be_loaded_is_told(monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    monkeypatch.setattr(plugins, "entry_points", lambda group: [EntryPoint("extra", target, group)])
    table = PluginTable("examples", {"loads": "json:loads"})
    with pytest.raises(PluginUnavailable, match="plugin 'extra'"):
        table.load("extra")
