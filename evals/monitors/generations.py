"""Collections whose vectors are of another embedding model than the one that their alias has now."""

from typing import TYPE_CHECKING

from sqlmodel import col, func, select

from core.alerts import AlertKind
from core.database import Database
from core.errors import NotFound
from core.tables import AlertRow, Collection, GenerationState, IndexGeneration
from evals.monitors.verdicts import Finding

if TYPE_CHECKING:
    from providers.models import Models


class GenerationMonitor:
    """Tells of each alias once for each model that collections of it were filled with, and how many these are."""

    kinds = frozenset({AlertKind.EMBEDDING_MISMATCH})

    def __init__(self, database: Database, models: "Models") -> None:
        self._database, self._models = database, models

    async def look(self) -> list[Finding]:
        """Aliases that give other vectors than those that are kept."""
        kept = (col(IndexGeneration.embeddings), col(IndexGeneration.model))
        query = (
            select(*kept, func.count())
            .where(Collection.id == IndexGeneration.collection_id, col(Collection.deleted_at).is_(None))
            .where(IndexGeneration.state == GenerationState.ACTIVE.value)
            .group_by(*kept)
        )
        async with self._database.session(all_tenants=True) as session:
            rows = (await session.exec(query)).all()
        return [finding for row in rows if (finding := self._finding(*row)) is not None]

    def is_over(self, alert: AlertRow) -> bool:
        """Once no look finds it. One of a deployment whose vectors have another length names a provider: no look finds that."""
        return "alias" in alert.subject

    def _finding(self, alias: str, model: str, collections: int) -> Finding | None:
        try:
            if self._models.gives_vectors_of(model, alias):
                return None
            now = self._models.embedding_name(alias)
        except NotFound:  # searches say so by themselves
            return None
        facts = {"alias": alias, "model": model, "now": now, "collections": collections}
        return Finding(AlertKind.EMBEDDING_MISMATCH, f"{alias}:{model}", None, facts)
