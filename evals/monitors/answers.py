"""What was told of a deployment, an alias or a price, and is over since: by the ledger, whichever process has seen it begin."""

from datetime import timedelta
from typing import Any, Final

from sqlalchemy import false
from sqlmodel import col, select

from core.alerts import AlertKind
from core.database import Database
from core.tables import AlertRow, AlertState, LedgerRow, ProviderCredential
from evals.monitors.verdicts import Finding
from providers.accounting import OK
from providers.prices import Basis

#: A process passes on now and then that an alert was raised again: nothing sooner says that it is over.
_MARGIN: Final = timedelta(seconds=60)
_ROW: Any = LedgerRow.__table__.c  # type: ignore[attr-defined]


class AnswerMonitor:
    """Finds nothing wrong; only what is well again."""

    kinds = frozenset(
        {
            AlertKind.PROVIDER_OUTAGE,
            AlertKind.AUTHENTICATION_FAILED,
            AlertKind.MODEL_MISSING,
            AlertKind.ALIAS_UNUSABLE,
            AlertKind.UNPRICED_MODEL,
            AlertKind.FALLBACK_PRICE,
        }
    )

    def __init__(self, database: Database) -> None:
        self._database = database
        self._over: set[str] = set()

    async def look(self) -> list[Finding]:
        """Nothing; what has answered since is noted."""
        self._over = set()
        firing = select(AlertRow).where(
            AlertRow.state == AlertState.FIRING.value, col(AlertRow.kind).in_([kind.value for kind in self.kinds])
        )
        async with self._database.session(all_tenants=True) as session:
            rows = (await session.exec(firing)).all()
            connection = await session.connection()
            for row in rows:
                query = select(_ROW.id).where(_ROW.at > row.last_seen + _MARGIN, *_answers(row)).limit(1)
                if (await connection.execute(query)).first() is not None:
                    self._over.add(row.id)
        return []

    def is_over(self, alert: AlertRow) -> bool:
        """There was an answer since."""
        return alert.id in self._over


def _answers(alert: AlertRow) -> list[Any]:
    conditions = [_ROW.status == OK, _ROW.cache.is_(None)]
    if not alert.platform:
        conditions.append(_ROW.tenant == alert.tenant)
    if alert.kind == AlertKind.ALIAS_UNUSABLE:
        return [*conditions, _ROW.alias == alert.subject.get("alias")]
    provider = alert.subject.get("provider")
    conditions += [_ROW.provider == provider, _ROW.model == alert.subject.get("model")]
    if alert.kind == AlertKind.UNPRICED_MODEL:
        conditions.append(_ROW.price_basis != Basis.UNPRICED.value)
    elif alert.kind == AlertKind.FALLBACK_PRICE:
        tier = alert.subject.get("tier")
        conditions += [_ROW.price_basis == Basis.EXACT.value, _ROW.tier.is_(None) if tier is None else _ROW.tier == tier]
    elif alert.platform:  # who has a credential of their own says nothing of the configured one
        own = select(ProviderCredential.tenant).where(
            ProviderCredential.provider == provider, ProviderCredential.everywhere == false()
        )
        conditions.append(_ROW.tenant.not_in(own))
    return conditions
