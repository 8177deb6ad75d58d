"""A month in the columns of FOCUS, the FinOps Open Cost and Usage Specification, version 1.2 (May 2025): a row a day, provider,
model and whatever else costs are told apart by, and one for each adjusting entry, with its reason."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from core.database import Database
from core.ledger.adjustments import adjustments
from core.ledger.centres import bounds
from core.ledger.facts import ADJUSTMENT, CORRECTION
from core.ledger.usage import Line, Question, analyse

_BY = ("day", "provider", "model", "capability", "alias", "cost_centre", "status", "price_basis")
#: The columns that the specification demands, and of the others those that there is something for; ours begin with `x_`.
COLUMNS = (
    *("BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart"),
    *("ChargeCategory", "ChargeClass", "ChargeDescription", "ChargeFrequency", "ChargePeriodEnd", "ChargePeriodStart"),
    *("ConsumedQuantity", "ConsumedUnit", "ContractedCost", "EffectiveCost", "InvoiceIssuerName", "ListCost"),
    *("PricingCategory", "PricingQuantity", "PricingUnit", "ProviderName", "PublisherName", "ServiceCategory", "ServiceName"),
    *("ServiceSubcategory", "SkuId", "x_Alias", "x_Attempts", "x_CostCentre", "x_InputTokens", "x_OutputTokens"),
    *("x_PriceBasis", "x_Status", "x_UnpricedAttempts"),
)


async def rows(database: Database, tenant: str, month: str) -> list[dict[str, Any]]:
    """The month's rows.

    Raises:
        InvalidRequest: there is no such month; `too_many_groups`.
    """
    begin, end = bounds(month)
    question = Question(tenant, _BY, begin, end, order="group", most_dimensions=len(_BY), list_prices=True)
    lines = await analyse(database, question)
    found = [_row(tenant, begin, end, line) for line in lines if line.group["status"] != ADJUSTMENT]
    adjusted = await adjustments(database, tenant, _BY, begin, end)
    return found + [_row(tenant, begin, end, line, reason) for line, reason in adjusted]


def _row(tenant: str, begin: datetime, end: datetime, line: Line, reason: str | None = None) -> dict[str, Any]:
    """`reason`: of an adjusting entry."""
    group, tokens = line.group, line.tokens
    sent = sum(tokens[name] for name in ("input", "cached", "cache_write", "cache_write_1h"))
    day = datetime.fromisoformat(f"{group['day']}T00:00:00+00:00")
    adjusts = reason is not None
    quantity = None if adjusts else sent + tokens["output"]
    what = f"{group['capability'] or 'calls'} by {group['model'] or 'no model'}"
    of = f" of {what}" if group["capability"] or group["model"] else ""
    costs: dict[str, Decimal] = dict.fromkeys(("BilledCost", "ContractedCost", "EffectiveCost"), line.cost_usd)
    return {
        **costs,
        "BillingAccountId": tenant,
        "BillingAccountName": tenant,
        "BillingCurrency": "USD",
        "BillingPeriodStart": _moment(begin),
        "BillingPeriodEnd": _moment(end),
        "ChargeCategory": "Adjustment" if adjusts else "Usage",
        "ChargeClass": "Correction" if group["price_basis"] == CORRECTION else None,
        "ChargeDescription": f"Adjustment{of}: {reason}" if adjusts else what.capitalize(),
        "ChargeFrequency": "One-Time" if adjusts else "Usage-Based",
        "ChargePeriodStart": _moment(day),
        "ChargePeriodEnd": _moment(day + timedelta(days=1)),
        "ConsumedQuantity": quantity,
        "ConsumedUnit": None if adjusts else "Tokens",
        "InvoiceIssuerName": group["provider"] or tenant,
        "ListCost": line.list_usd,
        "PricingCategory": None if adjusts else "Standard",
        "PricingQuantity": quantity,
        "PricingUnit": None if adjusts else "Tokens",
        "ProviderName": group["provider"] or tenant,
        "PublisherName": group["provider"] or tenant,
        "ServiceCategory": "AI and Machine Learning",
        "ServiceName": group["provider"] or tenant,
        "ServiceSubcategory": "Generative AI",
        "SkuId": group["model"] or None,
        "x_Alias": group["alias"],
        "x_Attempts": line.attempts,
        "x_CostCentre": group["cost_centre"],
        "x_InputTokens": sent,
        "x_OutputTokens": tokens["output"],
        "x_PriceBasis": group["price_basis"],
        "x_Status": group["status"],
        "x_UnpricedAttempts": line.unpriced,
    }


def _moment(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
