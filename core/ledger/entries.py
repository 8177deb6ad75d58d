"""What is known of one call of a provider."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from core.tables.columns import new_id

_id = new_id("led")


@dataclass(frozen=True, slots=True)
class TokenClasses:
    """Tokens by class, none in two of them: `input` are those that were neither read from the provider's cache (`cached`) nor
    written to it. `reasoning`, `output_audio` and `output_image` are of `output`; `input_audio` and `input_image` of all
    that was sent."""

    input: int = 0
    cached: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    output: int = 0
    reasoning: int = 0
    input_audio: int = 0
    output_audio: int = 0
    input_image: int = 0
    output_image: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """One attempt at one provider, or one answer of the response cache in its place. `cost_usd` is None where no price is
    known; `list_usd` is what the list asks for, where the price is the operator's own and the list knows one. `saved_tokens`
    and `saved_usd` are what a kept answer has saved. `teams` are the principal's, in order, between commas. Times are in
    milliseconds."""

    request_id: str
    tenant: str
    principal: str
    alias: str
    provider: str
    model: str
    status: str
    latency_ms: float
    key_id: str | None = None
    teams: str | None = None
    version: str | None = None
    capability: str = ""
    session_id: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    cache: str | None = None
    estimated: bool = False
    tokens: TokenClasses = TokenClasses()
    tier: str | None = None
    cost_usd: Decimal | None = Decimal(0)
    price_basis: str = "exact"
    price_source: str = ""
    price_since: date | None = None
    first_token_ms: float | None = None
    saved_tokens: int = 0
    saved_usd: Decimal | None = None
    list_usd: Decimal | None = None
    #: Of an experiment: what was assigned, as `core.tables.Exposure` names it.
    exposure: str | None = None
    id: str = field(default_factory=_id)
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def row(self) -> dict[str, Any]:
        """The columns of the table, by name."""
        columns = {name: getattr(self, name) for name in _PLAIN}
        columns["tags"] = dict(self.tags)
        for name in CLASSES:
            columns[f"{name}_tokens"] = getattr(self.tokens, name)
        return columns


CLASSES = tuple(one.name for one in fields(TokenClasses))
_PLAIN = tuple(one.name for one in fields(Entry) if one.name not in {"tags", "tokens"})
