"""The ledger: a row for every call of a provider, on record before the caller has the last byte of the answer. How it is meant:
`docs/ledger.md`.

    ledger.record(entry)                 # anywhere, never blocks
    await ledger.settled()               # all that was recorded so far is kept, whatever the database does
"""

from core.ledger.entries import Entry, TokenClasses
from core.ledger.outcomes import Outcome, enter_outcomes
from core.ledger.writer import Ledger, connect, record, settled

__all__ = ["Entry", "Ledger", "Outcome", "TokenClasses", "connect", "enter_outcomes", "record", "settled"]
