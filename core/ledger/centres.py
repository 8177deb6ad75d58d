"""The rules that say which cost centre an entry is."""

from sqlmodel import col, select

from core.database import Database
from core.tables import CostCentreRule

#: The kinds of rules, the first of which that fits holds: what is most special comes first.
KINDS = ("key", "user", "tag", "team")
#: A report asks for all of them.
MOST_RULES = 500


async def rules_of(database: Database, tenant: str | None) -> list[CostCentreRule]:
    """The tenant's rules, or those of all tenants, in the order in which they are tried."""
    query = select(CostCentreRule).order_by(col(CostCentreRule.created_at), col(CostCentreRule.id))
    async with database.session(tenant, all_tenants=tenant is None) as session:
        rules = (await session.exec(query)).all()
    return sorted(rules, key=lambda rule: KINDS.index(rule.kind))
