"""The drill on one machine: a platform is copied while it serves, its disk is lost, and the copy is put back by the commands.

At its full count, and on PostgreSQL: `make prove ARGS="restored restored_postgresql"`.
"""

from pathlib import Path

from infra.bench import drill


def test_after_backup_destruction_and_restore_answers_citations_keys_and_ledger_are_the_same(tmp_path: Path) -> None:
    figures = drill.restored(tmp_path / "drill", {}, documents=3, callers=1, destroy=drill.emptied)
    assert figures["written"] > 0
