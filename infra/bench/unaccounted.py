"""The server with nothing of what it answers put on record: what accounting costs is measured against it. Never for serving.

    python -m infra.bench.unaccounted        (in the place of langserve_app.py; see `infra.bench.accounting_cost`)

No entry is made, nothing is written or waited for. That no metrics are counted and no budget or rate limit is asked is the
settings' part.
"""

import sys
from typing import Any

import langserve_app
from core import ledger
from core.ledger import writer
from providers import accounting


def take_out() -> None:
    """Have calls closed without a word, and answers end without waiting."""

    def close(*_: Any, **__: Any) -> None:
        return None

    async def settled() -> None:
        return None

    def kept(*_: Any, **__: Any) -> None:
        return None

    accounting.Account.close = close  # type: ignore[method-assign]
    accounting.enter_kept = kept
    ledger.settled = writer.settled = settled


if __name__ == "__main__":
    take_out()
    sys.exit(langserve_app.main())
