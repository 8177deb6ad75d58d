"""What a deployment's tokens cost: the operator's own price, or the list price that the package genai-prices knows.

Decimal throughout. A price that is not known is said to be unpriced, never zero; a list price that stands in for another one
(another provider's, or the standard tier's) is said to be a fallback.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Any

from core.settings import DeploymentPrice
from providers.contracts import Contract, by_time, charged_less, less

#: Providers whose calls cost nothing but the machine's own time.
FREE = frozenset({"local"})
MILLION = Decimal(1_000_000)
#: Our providers by the names that genai-prices has for them.
PRICED_AS = {"azure": "azure", "vertex": "google", "bedrock": "aws", "openai": "openai"}
#: Tiers of service whose tokens LangChain tells apart (langchain-openai 1.7).
_TIERS = ("priority", "flex")
#: What a tier is to the list, where it is not a `service_tier`.
_LISTED_AS = {"batch": {"processing": "batch"}}
#: Prices that the arithmetic here does not do; the package's own does.
_UNUSUAL = ("output_reasoning_mtok", "requests_kcount", "input_text_mtok", "output_text_mtok")


class Basis(StrEnum):
    """How far a price can be trusted."""

    EXACT = "exact"
    FALLBACK = "fallback"
    UNPRICED = "unpriced"


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens by class. `input` holds the cached ones, `output` the reasoning. `cache_write` those that are kept for five
    minutes, `cache_write_1h` for an hour. Audio and pictures are among them; `cached_audio` and `cached_image` are of
    `cache_read`. `tier` is None for the standard one."""

    input: int
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    input_audio: int = 0
    output_audio: int = 0
    reasoning: int = 0
    tier: str | None = None
    input_image: int = 0
    output_image: int = 0
    cached_audio: int = 0
    cached_image: int = 0

    @classmethod
    def of(cls, metadata: Mapping[str, Any], tier: str | None = None) -> "Tokens":
        """From LangChain's usage metadata. `tier` is what the provider named."""
        given, made = metadata.get("input_token_details") or {}, metadata.get("output_token_details") or {}
        marked = next((name for name in _TIERS if name in given or name in made), None)
        prefix = f"{marked}_" if marked else ""
        return cls(
            input=metadata["input_tokens"],
            output=metadata["output_tokens"],
            cache_read=given.get(f"{prefix}cache_read") or 0,
            cache_write=(given.get(f"{prefix}cache_creation") or 0) + (given.get("ephemeral_5m_input_tokens") or 0),
            cache_write_1h=given.get("ephemeral_1h_input_tokens") or 0,
            input_audio=given.get("audio") or 0,
            output_audio=made.get("audio") or 0,
            reasoning=made.get(f"{prefix}reasoning") or 0,
            tier=tier or marked,
            input_image=given.get("image") or 0,
            output_image=made.get("image") or 0,
            cached_audio=given.get("cached_audio") or 0,
            cached_image=given.get("cached_image") or 0,
        )


@dataclass(frozen=True, slots=True)
class Rates:
    """Dollars per million tokens, for a short prompt; None where the class has no price (`cached`: as input). `per_hour_usd`
    stands in their place where calls are paid by the time that they take.

    `source`: `settings`, `local`, or the package with its version, and what is taken off its price. `since` is the day from
    which on the price holds, None where the source does not say.
    """

    basis: Basis
    source: str
    input_usd: Decimal | None = None
    output_usd: Decimal | None = None
    cached_usd: Decimal | None = None
    since: date | None = None
    per_hour_usd: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Charge:
    """What a call costs; `usd` is None where it is unpriced. `by_time`: it goes by how long the call took."""

    usd: Decimal | None
    basis: Basis
    source: str
    since: date | None = None
    by_time: bool = False


class Price:
    """The price of one deployment. Cheap to make: the list is read at first use, which takes half a second once a process.

    `own` are the operator's prices. `model` is the model behind the deployment's name. `address` is where it is, which says who
    is paid for a model behind `openai_compatible`.
    """

    def __init__(
        self, provider: str, model: str, own: Sequence[DeploymentPrice] | None = None, address: str | None = None
    ) -> None:
        self._provider = provider.partition(":")[0]
        self._model = model
        self._own = Contract(own or ())
        self._address = address

    @property
    def has_contract(self) -> bool:
        """Whether the operator has set it."""
        return bool(self._own)

    @property
    def goes_by_time(self) -> bool:
        """Whether calls are paid by the time that they take, as things are now."""
        if not self._own.knows_time:
            return False
        own = self._own.at(datetime.now(UTC))
        return own is not None and own.per_hour_usd is not None

    @property
    def tiers(self) -> Sequence[str]:
        """The tiers of service that a provider may serve a request by beside the standard one."""
        own = self._own.at(datetime.now(UTC))
        return _TIERS if own is None else (*_TIERS, *(tier for tier in own.tiers if tier not in _TIERS))

    def rates(self, at: datetime | None = None) -> Rates:
        """What a token costs."""
        at = at or datetime.now(UTC)
        if (own := self._own.at(at)) is not None and own.per_hour_usd is not None:
            return Rates(Basis.EXACT, "settings", since=own.valid_from, per_hour_usd=own.per_hour_usd)
        if own is not None and own.discount_percent is not None:
            return less(self._list_rates(at), own)
        if own is not None:
            cached = own.cached_usd_per_million
            return Rates(
                Basis.EXACT,
                "settings",
                own.input_usd_per_million,
                own.output_usd_per_million,
                own.input_usd_per_million if cached is None else cached,
                own.valid_from,
            )
        return self._list_rates(at)

    def _list_rates(self, at: datetime) -> Rates:
        if self._provider in FREE:
            return Rates(Basis.EXACT, "local", Decimal(0), Decimal(0), Decimal(0))
        if (listed := self._listed) is None:
            return Rates(Basis.UNPRICED, _source())
        prices = listed.prices(at, None)
        plain, made, cached = (_base(getattr(prices, f"{name}_mtok")) for name in ("input", "output", "cache_read"))
        if plain is None:
            return Rates(Basis.UNPRICED, _source())
        return Rates(listed.basis, _source(), plain, made, cached, listed.since(prices))

    def charge(self, tokens: Tokens, at: datetime | None = None, *, seconds: Decimal | None = None) -> Charge:
        """What a call of so many tokens costs, that took so many seconds (None: nobody knows). Some ten microseconds."""
        at = at or datetime.now(UTC)
        if (own := self._own.at(at)) is None:
            return self._list_charge(tokens, at)
        if own.per_hour_usd is not None:
            if seconds is None:
                return Charge(None, Basis.UNPRICED, "settings", own.valid_from, by_time=True)
            return Charge(by_time(own.per_hour_usd, seconds), Basis.EXACT, "settings", own.valid_from, by_time=True)
        if own.discount_percent is not None:
            return charged_less(self._list_charge(tokens, at), own)
        basis = Basis.EXACT if tokens.tier is None or tokens.tier in own.tiers else Basis.FALLBACK
        return Charge(_by_contract(own, tokens), basis, "settings", own.valid_from)

    def _list_charge(self, tokens: Tokens, at: datetime) -> Charge:
        if self._provider in FREE:
            return Charge(Decimal(0), Basis.EXACT, "local")
        if (listed := self._listed) is None:
            return Charge(None, Basis.UNPRICED, _source())
        prices = listed.prices(at, tokens.tier)
        usd = _by_list(prices, tokens)
        if usd is None:
            return Charge(None, Basis.UNPRICED, _source())
        known = listed.has_tier(at, tokens) and _kinds_are_listed(prices, tokens)
        return Charge(usd, listed.basis if known else Basis.FALLBACK, _source(), listed.since(prices))

    def list_usd(self, tokens: Tokens, at: datetime | None = None) -> Decimal | None:
        """What the list asks for, where the price is the operator's own; None where it is not, or the list has none."""
        at = at or datetime.now(UTC)
        if self._own.at(at) is None or self._provider in FREE:
            return None
        charge = self._list_charge(tokens, at)
        return charge.usd if charge.basis is Basis.EXACT else None

    def estimate(self, input_tokens: int, output_tokens: int, seconds: float | None = None) -> Decimal | None:
        """Dollars that a request of so many tokens and seconds will cost, None where no price is known, or the time that it
        goes by is not."""
        took = None if seconds is None else Decimal(str(seconds))
        return self.charge(Tokens(input_tokens, output_tokens), seconds=took).usd

    @cached_property
    def _listed(self) -> "_Listed | None":
        return _look_up(self._provider, self._model, self._address)


class _Listed:
    """A model as genai-prices lists it."""

    def __init__(self, model: Any, basis: Basis, *, own_tiers: bool) -> None:
        self._model = model
        self._own_tiers = own_tiers
        self.basis = basis

    def prices(self, at: datetime, tier: str | None) -> Any:
        return self._model.get_prices(at, _context_of(tier) if tier and self._own_tiers else None)

    def has_tier(self, at: datetime, tokens: Tokens) -> bool:
        """Whether the tier has prices of its own for all that has one: the package falls back to the standard ones and does not
        tell."""
        if tokens.tier is None:
            return True
        if not self._own_tiers:
            return False
        when, plain = _context_of(tokens.tier), self._model.get_prices(at, None).__dict__
        needed = {name for name, count in _used(tokens) if count and plain.get(name) is not None}
        listed = {
            name
            for variant in self._model.price_variants or ()
            if variant.when == when and (variant.constraint is None or variant.constraint.active(at))
            for name, price in variant.prices.__dict__.items()
            if price is not None
        }
        return bool(listed) and needed <= listed

    def since(self, prices: Any) -> date | None:
        listed = self._model.prices if isinstance(self._model.prices, list) else ()
        return next((getattr(each.constraint, "start_date", None) for each in listed if each.prices is prices), None)


@lru_cache(maxsize=1024)
def _look_up(provider: str, model: str, address: str | None) -> _Listed | None:
    """A model that another provider lists, or that is found by its name alone, is a fallback."""
    from genai_prices.data_snapshot import get_snapshot

    snapshot, priced_as = get_snapshot(), PRICED_AS.get(provider)
    ways = [(priced_as, None)] if priced_as else [(None, address), (None, None)] if address else [(None, None)]
    for provider_id, url in ways:
        try:
            lists, found = snapshot.find_provider_model(model, None, provider_id, url)
        except LookupError:
            continue
        own = any(found is each for each in lists.models)
        asked_for = provider_id is not None or url is not None
        return _Listed(found, Basis.EXACT if own and asked_for else Basis.FALLBACK, own_tiers=own)
    return None


@lru_cache(maxsize=1)
def _source() -> str:
    from importlib.metadata import version

    return f"genai-prices {version('genai-prices')}"


def _base(price: Any) -> Decimal | None:
    base: Decimal | None = getattr(price, "base", price)
    return base


def _by_contract(own: DeploymentPrice, tokens: Tokens) -> Decimal:
    plain = own.input_usd_per_million or Decimal(0)
    read, write, write_1h = own.cached_usd_per_million, own.cache_write_usd_per_million, own.cache_write_1h_usd_per_million
    write = plain if write is None else write
    made = own.output_usd_per_million
    total = (
        plain * (tokens.input - tokens.cache_read - tokens.cache_write - tokens.cache_write_1h)
        + (plain if read is None else read) * tokens.cache_read
        + write * tokens.cache_write
        + (write if write_1h is None else write_1h) * tokens.cache_write_1h
        + made * tokens.output
    )
    if (heard := own.input_audio_usd_per_million) is not None:  # what was cached costs as all that was
        total += (heard - plain) * (tokens.input_audio - tokens.cached_audio)
    if (spoken := own.output_audio_usd_per_million) is not None:
        total += (spoken - made) * tokens.output_audio
    if (painted := own.output_image_usd_per_million) is not None:
        total += (painted - made) * tokens.output_image
    return total * own.tiers.get(tokens.tier or "", Decimal(1)) / MILLION


def _by_list(prices: Any, tokens: Tokens) -> Decimal | None:
    """As the package's `calc_price` does it, in a tenth of the time; None where a class that was used has no price.

    What is rare (audio, pictures, prices of reasoning or requests) is left to the package.
    """
    known = prices.__dict__
    if (tokens.input and known.get("input_mtok") is None) or (tokens.output and known.get("output_mtok") is None):
        return None
    kinds = tokens.input_audio or tokens.output_audio or tokens.input_image or tokens.output_image
    if kinds or any(known.get(name) is not None for name in _UNUSUAL):
        return _by_package(prices, tokens)
    plain, total = tokens.input, Decimal(0)
    write, write_1h = known.get("cache_write_mtok"), known.get("cache_write_1h_mtok")
    parts = [(known.get("cache_read_mtok"), tokens.cache_read)]
    if write_1h is None:  # an hour costs as five minutes do
        parts.append((write, tokens.cache_write + tokens.cache_write_1h))
    else:
        parts += [(write, tokens.cache_write), (write_1h, tokens.cache_write_1h)]
    for price, count in parts:
        if price is not None and count:
            plain = max(0, plain - count)
            total += _at(price, tokens.input) * count
    total += _at(known.get("input_mtok"), tokens.input) * plain + _at(known.get("output_mtok"), tokens.input) * tokens.output
    return total / MILLION


def _kinds_are_listed(prices: Any, tokens: Tokens) -> bool:
    """Whether what is no text has prices of its own, where there was any: else the list counts it as text and does not tell.
    Pictures that are sent are no such kind: most providers charge them as text."""
    asked = (
        (tokens.input_audio, "input_audio_mtok"),
        (tokens.output_audio, "output_audio_mtok"),
        (tokens.output_image, "output_image_mtok"),
    )
    return all(not count or prices.__dict__.get(name) is not None for count, name in asked)


def _context_of(tier: str) -> dict[str, str]:
    return _LISTED_AS.get(tier) or {"service_tier": tier}


def _used(tokens: Tokens) -> tuple[tuple[str, int], ...]:
    """How many tokens were used, by the list's names for their prices."""
    return (
        ("input_mtok", tokens.input),
        ("output_mtok", tokens.output),
        ("cache_read_mtok", tokens.cache_read),
        ("cache_write_mtok", tokens.cache_write),
        ("cache_write_1h_mtok", tokens.cache_write_1h),
        ("input_audio_mtok", tokens.input_audio),
        ("output_audio_mtok", tokens.output_audio),
        ("cache_audio_read_mtok", tokens.cached_audio),
        ("input_image_mtok", tokens.input_image),
        ("output_image_mtok", tokens.output_image),
    )


def _by_package(prices: Any, tokens: Tokens) -> Decimal:
    from genai_prices import Usage

    written = tokens.cache_write + tokens.cache_write_1h
    usage = Usage(
        input_tokens=tokens.input,
        output_tokens=tokens.output,
        cache_read_tokens=tokens.cache_read,
        cache_write_tokens=written,
        cache_write_1h_tokens=tokens.cache_write_1h,
        input_audio_tokens=tokens.input_audio,
        output_audio_tokens=tokens.output_audio,
        cache_audio_read_tokens=tokens.cached_audio,
        input_image_tokens=tokens.input_image,
        output_image_tokens=tokens.output_image,
        cache_image_read_tokens=tokens.cached_image,
        output_reasoning_tokens=tokens.reasoning,
    )
    return Decimal(prices.calc_price(usage)["total_price"])


def _at(price: Any, input_tokens: int) -> Decimal:
    """A price by tiers holds for all tokens of a prompt that is longer than the tier's start."""
    if price is None:
        return Decimal(0)
    tiers = getattr(price, "tiers", None)
    if tiers is None:
        return Decimal(price)
    return next((Decimal(tier.price) for tier in reversed(tiers) if input_tokens > tier.start), Decimal(price.base))


def load() -> None:
    """Read the list now, so that no request waits for it. Blocking, some 0.6 s once a process."""
    _source()
    _look_up("openai", "gpt-4o", None)
