"""The registry in memory: every version that requests may go by, ready to be called, as the database has it now.

Before the registry is read, and for aliases that it does not know yet, what the settings say is version 1.
"""

import asyncio
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from string import Template
from typing import cast

import structlog
from sqlmodel import col, or_, select

from core.context import current
from core.database import Database
from core.errors import InvalidRequest, NotFound, PlatformError
from core.settings import ModelAlias, SettingsError
from core.tables import Registered, RegistryHead, RegistryVersion, VersionState
from providers.editions import Assignments, Edition, Line, Lines, NoAssignments
from providers.parameters import missing
from providers.registry.content import alias_of, digest_of
from providers.registry.pins import Pinned, Pins
from providers.serving import Serving

log = structlog.get_logger()

Revisions = dict[tuple[str, str], int]


class Editions:
    """One for a process, shared by all of its threads and event loops. What is asked on a request's way waits for nothing."""

    def __init__(
        self,
        serving: Serving,
        digest: Callable[[ModelAlias], str],
        aliases: Iterable[ModelAlias],
        assignments: Assignments | None = None,
    ) -> None:
        self._serving = serving
        self._digest = digest
        #: Whom requests are asked of before shares are; may be set until the first request.
        self.assignments: Assignments = assignments or NoAssignments()
        self._configured = {alias.alias: Line(self._edition(1, alias)) for alias in aliases}
        self._lines = Lines(self._configured)
        self._known: Revisions = {}
        self._held: frozenset[tuple[str, int]] = frozenset()
        self._built: dict[tuple[str, int], Edition] = {}
        self._lock = threading.Lock()
        self._limit()

    def chosen(self, alias: str) -> Edition:
        """The version of an alias that the request being served goes by, from now to its end.

        Raises:
            NotFound: code `model_not_found`.
        """
        request = current()
        versions = request.versions
        if (known := versions.get(alias)) is not None:
            return cast("Edition", known)
        lines = self._lines
        line = lines.of.get(alias)
        if line is None:
            raise no_such_model(alias)
        if not versions:
            versions.prompts = lines.prompts
        versions[alias] = edition = line.chosen(request, self.assignments)
        if edition.prompts:
            versions.pin(edition.prompts)
        return edition

    def live(self) -> Mapping[str, Edition]:
        """By alias, the version that is live."""
        return {name: line.live for name, line in self._lines.of.items()}

    def line(self, alias: str) -> Line | None:
        """The versions of an alias that are ready; None where there is no such alias."""
        return self._lines.of.get(alias)

    def used(self) -> tuple[Edition, ...]:
        """Every version that requests are given."""
        return self._lines.used()

    def tried(self) -> tuple[Edition, ...]:
        """Those that some requests alone are given: by a canary, or by an experiment."""
        held = [line.every.get(number) for name, number in self.assignments.held() if (line := self._lines.of.get(name))]
        canaries = [line.candidate for line in self._lines.of.values()]
        live = {id(each) for each in self.live().values()}
        return tuple({id(each): each for each in (*canaries, *held) if each is not None and id(each) not in live}.values())

    @property
    def prompts(self) -> Mapping[str, Template | None]:
        """Those that are live in place of what is built in, by name."""
        return self._lines.prompts

    def check(self, alias: ModelAlias) -> None:
        """Build what a version names, as far as it is not built yet. Blocking: it may import packages.

        Raises:
            SettingsError, NotFound: a provider is not there, or cannot be built from its settings.
            UnsupportedFeature: no deployment takes the parameters that it says.
        """
        served = [self._serving.serve(deployment) for deployment in alias.deployments]
        refusals = [missing(each.facts, alias.parameters.given, ()) for each in served]
        if all(refusals) and (refusal := refusals[0]) is not None:
            raise refusal

    async def load(self, database: Database) -> None:
        """Go by what the database says from now on. Requests under way keep what they have begun with."""
        async with database.session(all_tenants=True) as session:
            heads = (await session.exec(select(RegistryHead))).all()
            revisions = {(head.subject, head.name): head.revision for head in heads}
            held = frozenset(self.assignments.held())
            if (revisions, held) == (self._known, self._held):
                return
            wanted = [number for head in heads for number in (head.live, head.candidate) if number is not None]
            wanted += [number for _, number in held]
            kept = or_(
                col(RegistryVersion.state) != VersionState.RETIRED.value,
                col(RegistryVersion.number).in_(wanted),
                RegistryVersion.subject == Registered.PROMPT.value,  # a version of an alias may pin any of them
            )
            rows = (await session.exec(select(RegistryVersion).where(kept))).all()
        await asyncio.to_thread(self._take, heads, rows, revisions)
        self._held = held

    async def pins(self, database: Database, aliases: Mapping[str, int]) -> Pins:
        """What is live now, as the database says, with these versions in the place of the live ones."""
        async with database.session(all_tenants=True) as session:
            heads = (await session.exec(select(RegistryHead).where(col(RegistryHead.live).is_not(None)))).all()
        live = {
            subject: {head.name: head.live or 0 for head in heads if head.subject == subject.value} for subject in Registered
        }
        configured = {name: line.live.number for name, line in self._configured.items()}
        return Pins({**configured, **live[Registered.MODEL], **aliases}, live[Registered.PROMPT])

    async def pinned(self, database: Database, pins: Pins) -> Pinned:
        """The versions that are named, ready to be called, also where they are not live or not live any more."""
        kept = or_(
            RegistryVersion.subject == Registered.PROMPT.value, col(RegistryVersion.number).in_(set(pins.aliases.values()))
        )
        async with database.session(all_tenants=True) as session:
            rows = (await session.exec(select(RegistryVersion).where(kept))).all()
        return await asyncio.to_thread(self._pin, pins, rows)

    def _pin(self, pins: Pins, rows: Sequence[RegistryVersion]) -> Pinned:
        of = {(row.name, row.number): row for row in rows if row.subject == Registered.MODEL.value}
        texts = {(row.name, row.number): _template(row) for row in rows if row.subject == Registered.PROMPT.value}
        live = {name: texts[name, number] for name, number in pins.prompts.items() if (name, number) in texts}
        editions: dict[str, Edition] = {}
        lacking: dict[str, PlatformError] = {}
        for name, number in pins.aliases.items():
            try:
                editions[name] = self._pinned_edition(name, number, of.get((name, number)), texts, live)
            except PlatformError as refusal:
                lacking[name] = refusal
            except SettingsError as error:
                log.warning("registry.version_not_built", alias=name, version=number, reason=type(error).__name__)
                message = f"Version {number} of the model {name!r} cannot be used here: a provider of it is not configured."
                lacking[name] = InvalidRequest(message, code="version_unusable", param="version")
        now = self._lines.prompts
        same = _texts_of(now) == _texts_of(live)
        return Pinned(editions, now if same else live, lacking)

    def _pinned_edition(
        self,
        name: str,
        number: int,
        row: RegistryVersion | None,
        texts: Mapping[tuple[str, int], Template],
        live: Mapping[str, Template],
    ) -> Edition:
        if row is None:
            line = self._configured.get(name)
            if line is None or line.live.number != number:
                raise NotFound(f"The model {name!r} has no version {number}.", code="version_not_found", param="version")
            return line.live
        alias = alias_of(row.content)
        pinned = _pinned(alias, texts)
        digest = self._digest_of(alias, pinned, live)
        known = self._built.get((name, number))
        return known if known is not None and known.digest == digest else self._edition(number, alias, pinned, digest)

    def _digest_of(self, alias: ModelAlias, pinned: Mapping[str, Template | None], live: Mapping[str, Template]) -> str:
        return _with_texts(self._digest(alias), {**live, **pinned} if alias.kind == "chat" else {})

    def _take(self, heads: Sequence[RegistryHead], rows: Sequence[RegistryVersion], revisions: Revisions) -> None:
        with self._lock:
            if any(revisions.get(name, 0) < revision for name, revision in self._known.items()):
                return  # another has read later, and was sooner
            of = {(row.subject, row.name, row.number): row for row in rows}
            prompts = {
                row.name: _template(row)
                for head in heads
                if head.subject == Registered.PROMPT.value and head.live
                if (row := of.get((head.subject, head.name, head.live))) is not None
            }
            pinned = {(row.name, row.number): _template(row) for row in rows if row.subject == Registered.PROMPT.value}
            lines = dict(self._configured)
            for head in heads:
                if head.subject != Registered.MODEL.value:
                    continue
                mine = [row for row in rows if row.subject == head.subject and row.name == head.name]
                every = {row.number: built for row in mine if (built := self._ready(row, pinned, prompts)) is not None}
                line = self._line(head, every)
                lines.pop(head.name, None)
                if line is not None:
                    lines[head.name] = line
            self._lines, self._known = Lines(lines, prompts), revisions
            kept = {(row.name, row.number) for row in rows}
            self._built = {key: edition for key, edition in self._built.items() if key in kept}
        self._limit()

    def _line(self, head: RegistryHead, every: Mapping[int, Edition]) -> Line | None:
        if head.live is None:
            return None
        live = every.get(head.live)
        if live is None:  # it cannot be built here: go on with what there is
            log.error("registry.version_unusable", alias=head.name, version=head.live)
            before = self._lines.of.get(head.name)
            if before is not None and before is self._configured.get(head.name) and before.live.alias.prompts:
                return None  # it would be asked with other prompts than it pins
            return before
        candidate = None if head.candidate is None else every.get(head.candidate)
        return Line(live, candidate, head.share if candidate is not None else 0.0, every)

    def _ready(
        self, row: RegistryVersion, texts: Mapping[tuple[str, int], Template], live: Mapping[str, Template]
    ) -> Edition | None:
        """The version, built where it is not yet, or where other prompts are `live`; None where it cannot be."""
        key = row.name, row.number
        try:
            alias = alias_of(row.content)
            pinned = _pinned(alias, texts)
            digest = self._digest_of(alias, pinned, live)
            if key not in self._built or self._built[key].digest != digest:
                self._built[key] = self._edition(row.number, alias, pinned, digest)
        except (PlatformError, SettingsError) as error:
            reason = error.message if isinstance(error, PlatformError) else " ".join(str(error).split())
            log.warning("registry.version_not_built", alias=row.name, version=row.number, reason=reason)
            return None
        return self._built[key]

    def _edition(
        self, number: int, alias: ModelAlias, prompts: Mapping[str, Template | None] | None = None, digest: str | None = None
    ) -> Edition:
        served = tuple(map(self._serving.serve, alias.deployments))
        return Edition(number, alias, served, digest or self._digest(alias), prompts or {})

    def _limit(self) -> None:
        self._serving.limit(each for edition in self._lines.used() for each in edition.alias.deployments)


def _template(row: RegistryVersion) -> Template:
    return Template(str(row.content["text"]).strip())


def _pinned(alias: ModelAlias, prompts: Mapping[tuple[str, int], Template]) -> dict[str, Template | None]:
    """What the alias is asked with; None: as it is built in.

    Raises:
        NotFound: `version_not_found`
    """
    for name, number in alias.prompts.items():
        if number and (name, number) not in prompts:
            raise NotFound(f"There is no version {number} of the prompt {name}.", code="version_not_found")
    return {name: prompts[name, number] if number else None for name, number in alias.prompts.items()}


def _texts_of(prompts: Mapping[str, Template | None]) -> dict[str, str]:
    return {name: template.template for name, template in prompts.items() if template is not None}


def _with_texts(digest: str, prompts: Mapping[str, Template | None]) -> str:
    """What is configured, with the texts of the prompts that are not the built-in ones: a number does not tell what it says."""
    texts = _texts_of(prompts)
    return digest_of({"alias": digest, "prompts": texts}) if texts else digest


def no_such_model(name: str) -> NotFound:
    """To raise where an alias is asked for that is not there."""
    return NotFound(f"There is no model {name[:128]!r}.", code="model_not_found", param="model")
