"""What providers have invoiced, held against the ledger by day and model."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Literal

from sqlmodel import select

from core.database import Database
from core.errors import InvalidRequest
from core.ledger.usage import Line, Question, analyse
from core.money import QUANTUM
from core.tables import Invoice, InvoiceLine

COLUMNS = ("day", "model", "cost_usd")
MOST_LINES = 10_000
#: Dollars of one line, and of an invoice: what SQLite's integers can add up.
MOST_USD = Decimal(1_000_000)
#: Invoices are rounded to cents; a difference within half of one is none.
_ROUNDING = Decimal("0.005")
_MODEL_CHARACTERS = 256

Reason = Literal["equal", "not_in_ledger", "not_invoiced", "unpriced", "estimated", "price"]
Key = tuple[date, str]


@dataclass(frozen=True, slots=True)
class Difference:
    """A day and model as the invoice and as the ledger have them. `reason` is what explains the difference best: calls without
    a price, tokens that were counted here, calls that only one of both knows; else prices that are not the provider's."""

    day: date
    model: str
    invoiced_usd: Decimal
    ledger_usd: Decimal
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
    question = Question(tenant, ("day", "model"), begin, end, {"provider": [invoice.provider]})
    async with database.session(invoice.tenant) as session:
        lines = (await session.exec(select(InvoiceLine).where(InvoiceLine.invoice_id == invoice.id))).all()
    invoiced = {(line.day, line.model): line.cost_usd for line in lines}
    used = {_key(line): line for line in await analyse(database, question)}
    found = [_difference(key, invoiced.get(key), used.get(key)) for key in invoiced.keys() | used.keys()]
    return sorted(found, key=lambda one: (one.day, -abs(one.difference_usd), one.model))


def _key(line: Line) -> Key:
    return date.fromisoformat(line.group["day"] or ""), line.group["model"] or ""


def _difference(key: Key, invoiced: Decimal | None, line: Line | None) -> Difference:
    paid, spent = invoiced or Decimal(0), line.cost_usd if line else Decimal(0)
    reason: Reason = "price"
    if abs(paid - spent) < _ROUNDING and not (line and line.unpriced and invoiced is None):
        reason = "equal"
    elif line is None:
        reason = "not_in_ledger"
    elif invoiced is None:
        reason = "not_invoiced"
    elif line.unpriced:
        reason = "unpriced"
    elif line.estimated:
        reason = "estimated"
    counts = (line.attempts, line.unpriced, line.estimated) if line else (0, 0, 0)
    return Difference(*key, paid, spent, *counts, reason)
