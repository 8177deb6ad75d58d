from pathlib import Path

from core.child_limits import PATIENCE, Limit


def test_what_a_child_waits_for_a_processor_is_not_held_against_it(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    waits = tmp_path / "7" / "schedstat"
    waits.write_text("5000000000 9000000000 31\n")
    limit = Limit(7, 20, proc=tmp_path)
    assert 19 < limit.left_s() <= 20
    waits.write_text("5000000000 39000000000 40\n")
    assert 49 < limit.left_s() <= 50
    waits.write_text("5000000000 9999000000000 90\n")
    assert 20 * PATIENCE - 1 < limit.left_s() <= 20 * PATIENCE


def test_where_nobody_counts_the_clock_decides(tmp_path: Path) -> None:
    assert Limit(8, 20, proc=tmp_path).left_s() <= 20
