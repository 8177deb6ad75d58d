"""Which version of an alias an experiment gives a request. The running experiments are in memory: read at the start, and
whenever one is started or ended anywhere (`core.epoch`). No request asks the database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlmodel import col, select

from core.context import RequestContext
from core.database import SECRET, Database
from core.keys import Hasher
from core.principals import SYSTEM
from core.tables import Experiment, ExperimentState
from providers.buckets import Range, bucket, bucket_ranges, choose_variant, is_in_namespace
from providers.experiment_definition import TAG, Definition

#: Characters of the keyed hash that stands for a unit: 128 bits.
_UNIT = 32


class Units:
    """The names under which units are kept: keyed hashes, others in each experiment."""

    def __init__(self, hasher: Hasher) -> None:
        self._hasher = hasher

    def name(self, experiment_id: str, value: str) -> str:
        return self._hasher.digest("experiment unit", f"{experiment_id}\0{value}")[:_UNIT]


@dataclass(frozen=True, slots=True)
class Running:
    """An experiment as requests are assigned by it."""

    id: str
    alias: str
    tenant: str
    everywhere: bool
    seed: str
    definition: Definition
    ranges: Sequence[Range]
    versions: Sequence[int]

    @classmethod
    def of(cls, row: Experiment) -> "Running":
        definition = Definition.model_validate(row.definition)
        return cls(
            id=row.id,
            alias=row.alias,
            tenant=row.tenant,
            everywhere=row.everywhere,
            seed=definition.seed or row.name,
            definition=definition,
            ranges=bucket_ranges(len(definition.variants), definition.coverage, definition.weights),
            versions=[variant.version or 0 for variant in definition.variants],
        )

    def assign(self, request: RequestContext) -> tuple[int, str] | None:
        """The variant's place and the unit's value; None where the request is not in it."""
        value = unit_of(self.definition.unit, request)
        if value is None or not self._is_for(request):
            return None
        holdout, exclusion = self.definition.holdout, self.definition.exclusion
        if holdout is not None and (bucket(f"holdout:{holdout.group}", value) or 0.0) < holdout.share:
            return None
        if exclusion is not None and not is_in_namespace(value, exclusion.group, exclusion.begin, exclusion.end):
            return None
        variant = choose_variant(bucket(self.seed, value) or 0.0, self.ranges)
        return None if variant < 0 else (variant, value)

    def _is_for(self, request: RequestContext) -> bool:
        principal, wanted = request.principal, self.definition.targeting
        if not self.everywhere and principal.tenant != self.tenant:
            return False
        if wanted.tenants is not None and principal.tenant not in wanted.tenants:
            return False
        if wanted.teams is not None and principal.teams.isdisjoint(wanted.teams):
            return False
        if wanted.roles is not None and not (principal.role_held and principal.role in wanted.roles):
            return False
        if wanted.capabilities is not None and not _names(wanted.capabilities, request.capability):
            return False
        return all(request.tags.get(name) in values for name, values in wanted.tags.items())


class Experiments:
    """One for a process, shared by all of its threads and event loops. Before `load` there are none."""

    def __init__(self) -> None:
        self._by_alias: Mapping[str, Sequence[Running]] = {}
        self._units: Units | None = None
        self._held: frozenset[tuple[str, int]] = frozenset()

    async def load(self, database: Database) -> None:
        """Read those that run."""
        query = select(Experiment).where(Experiment.state == ExperimentState.RUNNING.value)
        async with database.session(all_tenants=True) as session:
            rows = (await session.exec(query.order_by(col(Experiment.started_at), col(Experiment.id)))).all()
            if rows and self._units is None:
                self._units = Units(Hasher(session.info[SECRET]()))
        by_alias: dict[str, list[Running]] = {}
        for row in rows:
            by_alias.setdefault(row.alias, []).append(Running.of(row))
        self._held = frozenset(
            (each.alias, version) for some in by_alias.values() for each in some for version in each.versions
        )
        self._by_alias = by_alias

    def held(self) -> frozenset[tuple[str, int]]:
        """The versions that experiments give, by alias and number."""
        return self._held

    def version_of(self, alias: str, request: RequestContext) -> int | None:
        """The version that an experiment gives the request, and the exposure noted in its context; None where it is in none. Of
        several the one that began first has it."""
        running = self._by_alias.get(alias)
        if running is None or self._units is None or request.principal.id == SYSTEM.id:
            return None
        for experiment in running:
            assigned = experiment.assign(request)
            if assigned is not None:
                variant, value = assigned
                unit = self._units.name(experiment.id, whole_unit(experiment.definition.unit, request.principal.tenant, value))
                request.exposures[alias] = f"{experiment.id}/{variant}/{unit}"
                return experiment.versions[variant]
        return None


def unit_of(unit: str, request: RequestContext) -> str | None:
    """What stands for the request's unit; None where it has none."""
    if unit == "user":
        return request.principal.id
    if unit == "tenant":
        return request.principal.tenant
    if unit == "session":
        return request.session_id or None
    return request.tags.get(unit.removeprefix(TAG)) or None


def whole_unit(unit: str, tenant: str, value: str) -> str:
    """What a unit is known by: sessions and tags are another tenant's where they have the same name."""
    return value if unit in ("user", "tenant") else f"{tenant}\0{value}"


def _names(names: Sequence[str], capability: str) -> bool:
    """Whether a capability is named, or what it is a part of: `code` is also `code/fix`."""
    return capability in names or capability.partition("/")[0] in names


def exposure_parts(exposure: str) -> tuple[str, int, str]:
    """Experiment, variant and unit of an exposure's identifier."""
    experiment_id, variant, unit = exposure.split("/")
    return experiment_id, int(variant), unit
