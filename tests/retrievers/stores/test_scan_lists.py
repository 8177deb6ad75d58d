import pytest

from retrievers.base import Shelf
from retrievers.stores import scan_lists
from retrievers.stores.scan_lists import ScanLists

SHELF = Shelf("acme", "col_a")


class Held:
    """Identifiers that a store has, and how often they were read."""

    def __init__(self, *ids: str) -> None:
        self.ids = list(ids)
        self.reads = 0

    def read(self, shelf: Shelf) -> list[str]:
        self.reads += 1
        return list(self.ids)


def test_a_scan_reads_once_and_gives_each_in_order() -> None:
    held = Held("d", "b", "a", "c", "e")
    lists = ScanLists(held.read)
    assert lists.behind(SHELF, "", 2) == ["a", "b"]
    held.ids.append("aa")  # meanwhile, and maybe not given
    assert lists.behind(SHELF, "b", 2) == ["c", "d"]
    assert lists.behind(SHELF, "d", 2) == ["e"]
    assert held.reads == 1


def test_another_scan_of_the_same_begins_anew_and_the_first_goes_on_with_what_is_newer() -> None:
    held = Held("a", "b", "c")
    lists = ScanLists(held.read)
    lists.behind(SHELF, "", 1)
    held.ids += ["bb"]
    assert lists.behind(SHELF, "", 1) == ["a"]
    assert lists.behind(SHELF, "a", 2) == ["b", "bb"]
    assert held.reads == 2


def test_what_no_scan_has_come_to_or_is_too_old_is_read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    held = Held("a", "c")
    lists = ScanLists(held.read)
    lists.behind(SHELF, "", 1)
    assert lists.behind(SHELF, "b", 1) == ["c"]
    assert held.reads == 2
    monkeypatch.setattr(scan_lists, "_KEPT_S", -1.0)
    assert lists.behind(SHELF, "a", 1) == ["c"]
    assert held.reads == 3
    assert lists.behind(SHELF, "zzz", 1) == []


def test_no_more_than_some_scans_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan_lists, "_SCANS", 2)
    held = Held("a", "b", "c")
    lists = ScanLists(held.read)
    for number in range(3):
        lists.behind(Shelf("acme", f"col_{number}"), "", 1)
    lists.behind(Shelf("acme", "col_2"), "a", 1)
    assert held.reads == 3
    lists.behind(Shelf("acme", "col_0"), "a", 1)
    assert held.reads == 4
