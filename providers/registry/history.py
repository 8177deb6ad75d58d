"""What ran when: the history of an alias with the prompts that it was asked with, and when which version was live."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Final

from sqlmodel import col, select

from core.database import Database
from core.settings import ModelAlias
from core.tables import Registered, RegistryEvent
from providers.registry.content import alias_of
from providers.registry.store import Registry

#: What changes the prompt that models are asked with.
_OF_PROMPTS: Final = ("deployed", "rolled_back")


@dataclass(frozen=True, slots=True)
class Happened:
    """An event of an alias, or of a prompt that it was asked with. `standing` is the alias's last event until then, and
    `prompts` the versions of prompts that the live version was asked with from then on; what is not told was as built in."""

    event: RegistryEvent
    standing: RegistryEvent
    prompts: Mapping[str, int]

    @property
    def prompt(self) -> str | None:
        """The prompt that it is an event of; None: it is the alias's own."""
        return self.event.name if self.event.subject == Registered.PROMPT.value else None


@dataclass(frozen=True, slots=True)
class Spell:
    """A time in which a version was live. `until` None: it is."""

    version: int
    since: datetime
    until: datetime | None


async def happened(database: Database, alias: str) -> list[Happened]:
    """All that has happened to an alias, the newest first, what was done to prompts that it is asked with among it."""
    registry = Registry(database)
    own = await registry.events(Registered.MODEL, alias)
    of = {row.number: alias_of(row.content) for row in await registry.versions(Registered.MODEL, alias)}
    query = select(RegistryEvent).where(
        RegistryEvent.subject == Registered.PROMPT.value, col(RegistryEvent.act).in_(_OF_PROMPTS)
    )
    async with database.session(all_tenants=True) as session:
        prompts = (await session.exec(query)).all()
    return list(_told(sorted([*own, *prompts], key=lambda event: (event.at, event.subject, event.revision)), of))[::-1]


def _told(events: Sequence[RegistryEvent], of: Mapping[int, ModelAlias]) -> Iterator[Happened]:
    """Of events of an alias and of prompts, from the first on."""
    standing: RegistryEvent | None = None
    prompts: dict[str, int] = {}
    for event in events:
        if event.subject == Registered.MODEL.value:
            standing = event
        else:
            prompts[event.name] = event.live or 0
        if standing is None:
            continue
        used = [of[number] for number in (standing.live, standing.candidate) if number is not None and number in of]
        if event is not standing and not any(each.kind == "chat" and event.name not in each.prompts for each in used):
            continue  # it pins another, or asks with none
        asked = {**prompts, **used[0].prompts} if used and used[0].kind == "chat" else {}
        yield Happened(event, standing, {name: number for name, number in sorted(asked.items()) if number})


async def spells(database: Database, aliases: Collection[str]) -> dict[str, list[Spell]]:
    """By alias, when which version was live, the latest first."""
    query = select(RegistryEvent.name, RegistryEvent.at, RegistryEvent.live).where(
        RegistryEvent.subject == Registered.MODEL.value, col(RegistryEvent.name).in_(list(aliases))
    )
    async with database.session(all_tenants=True) as session:
        rows = (await session.exec(query.order_by(RegistryEvent.name, col(RegistryEvent.revision)))).all()
    found: dict[str, list[Spell]] = {}
    for name, its in groupby(rows, key=lambda row: row[0]):
        begun = [next(same)[1:] for _, same in groupby(its, key=lambda row: row[2])]
        ends = [*(at for at, _ in begun[1:]), None]
        lived = [Spell(live, since, until) for (since, live), until in zip(begun, ends, strict=True) if live is not None]
        found[name] = lived[::-1]
    return found
