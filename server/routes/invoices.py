"""Invoices of providers: imported, and held against the ledger by day and model."""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlmodel import col, delete, select
from starlette.responses import Response

from core import audit, denials
from core.errors import Conflict, NotFound
from core.ledger.invoices import Difference, Reason, differences, read
from core.principals import Principal, Scope
from core.tables import Invoice, InvoiceLine
from server.csv_answers import MEDIA_TYPE, csv_answer
from server.pagination import Paging, page_of, page_of_table
from server.routes.cost_centres import Manager
from server.state import CurrentState, State

router = APIRouter(prefix="/api/v1/usage/invoices", tags=["Usage"])


class NewInvoice(BaseModel):
    """An invoice to import."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"provider": "openai", "number": "2026-01", "csv": "day,model,cost_usd\n2026-01-31,gpt-4o-mini,12.34\n"}
            ]
        },
    )

    provider: str = Field(min_length=1, max_length=128, description="as the ledger names it")
    number: str = Field(min_length=1, max_length=128, description="of the invoice")
    csv: str = Field(
        min_length=1, description="a line of names, `day`, `model`, `cost_usd` and any others, then a line for each"
    )
    everywhere: bool = Field(False, description="it is for all tenants: with `tenants:manage`")


class InvoiceInfo(BaseModel):
    """An invoice."""

    id: str
    provider: str
    number: str
    everywhere: bool
    begins: date
    ends: date
    cost_usd: float
    created_by: str
    created_at: datetime

    @classmethod
    def of(cls, row: Invoice) -> "InvoiceInfo":
        return cls.model_validate(row, from_attributes=True)


class InvoicePage(BaseModel):
    """Some of the invoices."""

    results: list[InvoiceInfo]
    next_cursor: str | None


class DifferenceInfo(BaseModel):
    """A day and model as the invoice and as the ledger have them."""

    day: date
    model: str
    invoiced_usd: float
    ledger_usd: float
    adjusted_usd: float = Field(0, description="of `ledger_usd`, adjusting entries, each where the entry is that it corrects")
    difference_usd: float = Field(description="what was invoiced beyond the ledger")
    attempts: int
    unpriced: int
    estimated: int
    reason: Reason = Field(
        description="what explains it best: `equal` to half a cent; `adjusted`: adjusting entries make it; `not_in_ledger`, "
        "`not_invoiced`: one of both has no such call; `unpriced` calls; `estimated` tokens; else the `price` that the "
        "platform goes by"
    )


class DifferencePage(BaseModel):
    """Some of the days and models."""

    results: list[DifferenceInfo]
    next_cursor: str | None


@router.post("", status_code=201)
async def import_invoice(new: NewInvoice, state: CurrentState, principal: Manager) -> InvoiceInfo:
    """Import what a provider has invoiced."""
    if new.everywhere and not principal.may(Scope.TENANTS_MANAGE):
        raise denials.lacks(principal, Scope.TENANTS_MANAGE, act="do that for all tenants")
    amounts = read(new.csv)
    days = [day for day, _ in amounts]
    row = Invoice(
        tenant=principal.tenant,
        provider=new.provider,
        number=new.number,
        everywhere=new.everywhere,
        begins=min(days),
        ends=max(days),
        cost_usd=sum(amounts.values(), Decimal(0)),
        created_by=principal.id,
    )
    same = (Invoice.provider == new.provider, Invoice.number == new.number)
    async with state.database.transaction(principal.tenant) as session:
        if (await session.exec(select(Invoice.id).where(*same))).first() is not None:
            raise Conflict("This invoice is here already: remove it first.", code="already_exists", param="number")
        session.add(row)
        await session.flush()
        session.add_all(
            InvoiceLine(invoice_id=row.id, day=day, model=model, cost_usd=usd) for (day, model), usd in amounts.items()
        )
        details: dict[str, audit.Detail] = {"lines": len(amounts), "cost_usd": f"{row.cost_usd:f}"}
        await audit.record(session, audit.Action.INVOICE_IMPORTED, on=("invoice", row.id), details=details)
    return InvoiceInfo.of(row)


@router.get("", response_model=InvoicePage)
async def list_invoices(state: CurrentState, principal: Manager, paging: Paging) -> dict[str, object]:
    """List the invoices."""
    return await page_of_table(state.database, principal.tenant, Invoice, paging, InvoiceInfo.of)


@router.get("/{invoice_id}")
async def get_invoice(invoice_id: str, state: CurrentState, principal: Manager) -> InvoiceInfo:
    """Show an invoice."""
    return InvoiceInfo.of(await _find(state, principal, invoice_id))


@router.get(
    "/{invoice_id}/differences",
    response_model=DifferencePage,
    responses={200: {"content": {MEDIA_TYPE: {"schema": {"type": "string"}}}}},
)
async def compare_invoice(
    invoice_id: str,
    state: CurrentState,
    principal: Manager,
    paging: Paging,
    form: Annotated[Literal["json", "csv"], Query(alias="format", description="CSV is told whole")] = "json",
) -> Any:
    """Hold an invoice against the ledger, by day and model."""
    invoice = await _find(state, principal, invoice_id)
    if invoice.everywhere and not principal.may(Scope.TENANTS_MANAGE):
        raise denials.lacks(principal, Scope.TENANTS_MANAGE, act="see all tenants")
    found = await differences(state.database, invoice)
    if form == "csv":
        return csv_answer("differences", list(DifferenceInfo.model_fields), [_told(one) for one in found])
    told = page_of(found, paging, lambda one: f"{one.day} {one.model}")
    return told | {"results": [DifferenceInfo.model_validate(_told(one)) for one in told["results"]]}


@router.delete("/{invoice_id}", status_code=204)
async def remove_invoice(invoice_id: str, state: CurrentState, principal: Manager) -> Response:
    """Remove an invoice."""
    row = await _find(state, principal, invoice_id)
    async with state.database.transaction(principal.tenant) as session:
        await session.exec(delete(InvoiceLine).where(col(InvoiceLine.invoice_id) == row.id))
        await session.exec(delete(Invoice).where(col(Invoice.id) == row.id))
        await audit.record(session, audit.Action.INVOICE_REMOVED, on=("invoice", row.id))
    return Response(status_code=204)


async def _find(state: State, principal: Principal, invoice_id: str) -> Invoice:
    async with state.database.session(principal.tenant) as session:
        row = await session.get(Invoice, invoice_id)
    if row is None:
        raise NotFound("There is no such invoice.", code="invoice_not_found")
    return row


def _told(one: Difference) -> dict[str, Any]:
    return {name: getattr(one, name) for name in DifferenceInfo.model_fields}
