"""What providers have invoiced, held against the ledger by day and model."""

import csv
import io
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Literal

from sqlmodel import select

from core.database import Database
from core.errors import InvalidRequest
from core.ledger.centres import bounds
from core.ledger.facts import ADJUSTMENT, CORRECTION
from core.ledger.usage import Line, Question, analyse
from core.money import QUANTUM
from core.tables import Invoice, InvoiceLine, LedgerAdjustment

COLUMNS = ("day", "model", "cost_usd")
MOST_LINES = 10_000
#: Dollars of one line, and of an invoice: what SQLite's integers can add up.
MOST_USD = Decimal(1_000_000)
#: Invoices are rounded to cents; a difference within half of one is none.
_ROUNDING = Decimal("0.005")
_MODEL_CHARACTERS = 256

Reason = Literal["equal", "adjusted", "not_in_ledger", "not_invoiced", "unpriced", "estimated", "price"]
Key = tuple[date, str]


@dataclass(frozen=True, slots=True)
class Difference:
    """A day and model as the invoice and as the ledger have them. `reason` is what explains the difference best: adjusting
    entries that make it, calls that only one of both knows, calls without a price, tokens that were counted here; else prices
    that are not the provider's. `adjusted_usd` of the ledger's are adjusting entries, which are where the entry is that they
    correct."""

    day: date
    model: str
    invoiced_usd: Decimal
    ledger_usd: Decimal
    adjusted_usd: Decimal
    attempts: int
    unpriced: int
    estimated: int
    reason: Reason

    @property
    def difference_usd(self) -> Decimal:
        return self.invoiced_usd - self.ledger_usd


def read(text: str) -> dict[Key, Decimal]:
    """The amounts of an invoice in CSV, by day and model: its first line names the columns, `COLUMNS` and any others.

    Raises:
        InvalidRequest: `invalid_invoice`, which line is wrong, and how.
    """
    found: dict[Key, Decimal] = {}
    reader = csv.DictReader(io.StringIO(text.lstrip("\ufeff"), newline=""), strict=True)
    try:
        names = [(name or "").strip().lower() for name in reader.fieldnames or ()]
        reader.fieldnames = names
        if missing := set(COLUMNS) - set(names):
            raise _wrong(1, f"the column {sorted(missing)[0]} is missing")
        for number, row in enumerate(reader, 2):
            if len(found) >= MOST_LINES:
                raise _wrong(number, f"an invoice has {MOST_LINES:,} lines at most")
            key, usd = _line(number, row)
            found[key] = found.get(key, Decimal(0)) + usd
    except csv.Error:
        raise _wrong(reader.line_num, "it is no CSV") from None
    if not found:
        raise _wrong(2, "there is none")
    if abs(sum(found.values(), Decimal(0))) > MOST_USD:
        raise _wrong(2, "the amounts are more than an invoice may have")
    return found


def _line(number: int, row: Mapping[str, str | None]) -> tuple[Key, Decimal]:
    day, model, cost = ((row.get(name) or "").strip() for name in COLUMNS)
    try:
        parsed = date.fromisoformat(day[:10])
    except ValueError:
        raise _wrong(number, "the day does not read as 2026-01-31") from None
    if not 2000 <= parsed.year < 3000:
        raise _wrong(number, "the year is none of this millennium")
    try:
        usd = Decimal(cost.removeprefix("$"))
        if not usd.is_finite() or abs(usd) > MOST_USD:
            raise _wrong(number, "the amount is too large")
        exact = usd.quantize(QUANTUM)
    except InvalidOperation:
        raise _wrong(number, "the amount is no number") from None
    if not model or len(model) > _MODEL_CHARACTERS or "\0" in model:
        raise _wrong(number, "the model's name is missing or too long")
    return (parsed, model), exact


def _wrong(number: int, how: str) -> InvalidRequest:
    return InvalidRequest(f"Line {number} of the invoice: {how}.", code="invalid_invoice", param="csv")


async def differences(database: Database, invoice: Invoice) -> list[Difference]:
    """The invoice against the ledger of its days, of the tenant or of all tenants: by day, the largest difference first."""
    begin = datetime.combine(invoice.begins, datetime.min.time(), UTC)
    end = datetime.combine(invoice.ends, datetime.min.time(), UTC) + timedelta(days=1)
    tenant = None if invoice.everywhere else invoice.tenant
    question = Question(
        tenant, ("day", "model", "price_basis"), begin, end, {"provider": [invoice.provider]}, most_dimensions=3
    )
    async with database.session(invoice.tenant) as session:
        lines = (await session.exec(select(InvoiceLine).where(InvoiceLine.invoice_id == invoice.id))).all()
    invoiced = {(line.day, line.model): line.cost_usd for line in lines}
    used: dict[Key, _Used] = defaultdict(_Used)
    for line in await analyse(database, question):
        if line.group["price_basis"] not in (ADJUSTMENT, CORRECTION):
            used[_key(line)].add(line)
    for key, usd in await _adjusted(database, tenant, invoice):
        used[key].adjusted_usd += usd
    found = [_difference(key, invoiced.get(key), used.get(key)) for key in invoiced.keys() | used.keys()]
    return sorted(found, key=lambda one: (one.day, -abs(one.difference_usd), one.model))


@dataclass(slots=True)
class _Used:
    """What the ledger has of a day and model."""

    called_usd: Decimal = Decimal(0)
    adjusted_usd: Decimal = Decimal(0)
    attempts: int = 0
    unpriced: int = 0
    estimated: int = 0

    def add(self, line: Line) -> None:
        self.called_usd += line.cost_usd
        self.attempts += line.attempts
        self.unpriced += line.unpriced
        self.estimated += line.estimated

    @property
    def estimated_usd(self) -> Decimal:
        """About what the calls cost whose tokens were counted here, as calls of this day and model do on average."""
        return self.called_usd * self.estimated / max(1, self.attempts)


async def _adjusted(database: Database, tenant: str | None, invoice: Invoice) -> list[tuple[Key, Decimal]]:
    """The adjusting entries for what was used on the invoice's days, whenever they were added."""
    query = select(LedgerAdjustment).where(LedgerAdjustment.provider == invoice.provider)
    async with database.session(tenant, all_tenants=tenant is None) as session:
        rows = (await session.exec(query)).all()
    days = ((_day_of(row, invoice), row) for row in rows)
    return [((day, row.model), row.cost_usd) for day, row in days if invoice.begins <= day <= invoice.ends]


def _day_of(row: LedgerAdjustment, invoice: Invoice) -> date:
    """The day that it adjusts. One for a month as a whole is of the last that the invoice has of it."""
    if row.entry_at is None and row.corrects is not None:
        _, end = bounds(row.corrects)
        last = end.date() - timedelta(days=1)
        return min(last, invoice.ends) if f"{invoice.ends:%Y-%m}" == row.corrects else last
    return (row.entry_at or row.at).astimezone(UTC).date()


def _key(line: Line) -> Key:
    return date.fromisoformat(line.group["day"] or ""), line.group["model"] or ""


def _difference(key: Key, invoiced: Decimal | None, known: _Used | None) -> Difference:
    used = known or _Used()
    paid, spent = invoiced or Decimal(0), used.called_usd + used.adjusted_usd
    counts = (used.attempts, used.unpriced, used.estimated)
    return Difference(*key, paid, spent, used.adjusted_usd, *counts, _reason(invoiced, paid - spent, used))


def _reason(invoiced: Decimal | None, difference: Decimal, used: _Used) -> Reason:
    if abs(difference) < _ROUNDING and not (used.unpriced and invoiced is None):
        return "equal"
    if abs(difference + used.adjusted_usd) < _ROUNDING and not used.unpriced:
        return "adjusted"
    if not used.attempts:
        return "not_in_ledger"
    if invoiced is None:
        return "not_invoiced"
    if used.unpriced:
        return "unpriced"
    explains = used.estimated == used.attempts or abs(difference) <= used.estimated_usd + _ROUNDING
    return "estimated" if used.estimated and explains else "price"
