"""The registry in the database: versions made, approved, deployed and taken back, and what has happened."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import and_
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select

from core import denials
from core.database import Database
from core.errors import Conflict, NotFound
from core.model_settings import PromptText
from core.principals import DEFAULT_TENANT, Principal
from core.settings import ModelAlias
from core.tables import Registered, RegistryEvent, RegistryHead, RegistryVersion
from providers.registry.content import alias_of, check_stands_in, content_of, digest_of, says_the_same
from providers.registry.heads import Acting, found
from providers.registry.pinned import check_there, placed, texts_of
from providers.registry.plans import Plan


class Registry:
    """Of the installation: whoever changes it is one of the operator's own, and every tenant goes by it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def heads(self, subject: Registered) -> Sequence[RegistryHead]:
        """How each name stands, by name."""
        query = select(RegistryHead).where(RegistryHead.subject == subject.value).order_by(RegistryHead.name)
        async with self._database.session(all_tenants=True) as session:
            return (await session.exec(query)).all()

    async def head(self, subject: Registered, name: str) -> RegistryHead:
        """How a name stands. Raises NotFound (`model_not_found`, `prompt_not_found`)."""
        query = select(RegistryHead).where(RegistryHead.subject == subject.value, RegistryHead.name == name)
        async with self._database.session(all_tenants=True) as session:
            row = (await session.exec(query)).first()
        if row is None:
            raise NotFound(f"There is no {subject.value} of that name.", code=f"{subject.value}_not_found")
        return row

    async def versions(self, subject: Registered, name: str) -> Sequence[RegistryVersion]:
        """All versions of a name, the newest first."""
        query = select(RegistryVersion).where(RegistryVersion.subject == subject.value, RegistryVersion.name == name)
        async with self._database.session(all_tenants=True) as session:
            return (await session.exec(query.order_by(col(RegistryVersion.number).desc()))).all()

    async def version(self, subject: Registered, name: str, number: int) -> RegistryVersion:
        """One of them. Raises NotFound (`version_not_found`)."""
        async with self._database.session(all_tenants=True) as session:
            return await found(session, subject, name, number)

    async def live(self, subject: Registered) -> Sequence[RegistryVersion]:
        """The live version of each name, by name."""
        query = (
            select(RegistryVersion)
            .join(
                RegistryHead,
                and_(
                    col(RegistryHead.subject) == col(RegistryVersion.subject),
                    col(RegistryHead.name) == col(RegistryVersion.name),
                    col(RegistryHead.live) == col(RegistryVersion.number),
                ),
            )
            .where(RegistryVersion.subject == subject.value)
            .order_by(RegistryVersion.name)
        )
        async with self._database.session(all_tenants=True) as session:
            return (await session.exec(query)).all()

    async def pinned(self, rows: Iterable[RegistryVersion]) -> list[PromptText]:
        """The versions of prompts that versions of aliases pin, with their texts, by name and number."""
        wanted = {(name, number) for row in rows for name, number in alias_of(row.content).prompts.items() if number}
        query = select(RegistryVersion).where(
            RegistryVersion.subject == Registered.PROMPT.value, col(RegistryVersion.name).in_({name for name, _ in wanted})
        )
        async with self._database.session(all_tenants=True) as session:
            kept = (await session.exec(query.order_by(RegistryVersion.name, col(RegistryVersion.number)))).all()
        return [
            PromptText(name=row.name, version=row.number, text=row.content["text"])
            for row in kept
            if (row.name, row.number) in wanted
        ]

    async def events(self, subject: Registered, name: str) -> Sequence[RegistryEvent]:
        """What has happened to a name, the newest first."""
        query = select(RegistryEvent).where(RegistryEvent.subject == subject.value, RegistryEvent.name == name)
        async with self._database.session(all_tenants=True) as session:
            return (await session.exec(query.order_by(col(RegistryEvent.revision).desc()))).all()

    async def at(self, subject: Registered, name: str, moment: datetime) -> RegistryEvent | None:
        """The last change of a name until then, with how it stood from then on; None where it was not there yet."""
        query = select(RegistryEvent).where(
            RegistryEvent.subject == subject.value, RegistryEvent.name == name, RegistryEvent.at <= moment
        )
        async with self._database.session(all_tenants=True) as session:
            return (await session.exec(query.order_by(col(RegistryEvent.revision).desc()).limit(1))).first()

    async def add_model(self, principal: Principal, alias: ModelAlias, *, reason: str, source: str = "api") -> RegistryVersion:
        """A new version of an alias, or a new alias, which is served once a version of it is deployed.

        Raises:
            Forbidden
            InvalidRequest: `kind_differs`, `vectors_differ`: it could not stand in for what is live; `invalid_version`: it asks
                for a version of a prompt that is not there.
        """
        async with self._changing(principal, Registered.MODEL, alias.alias, reason, make=True) as acting:
            return await _add(acting, alias, source)

    async def add_prompt(self, principal: Principal, name: str, text: str, *, reason: str) -> RegistryVersion:
        """A new version of a prompt, whose text is known to fit. Raises Forbidden."""
        content = {"text": text}
        async with self._changing(principal, Registered.PROMPT, name, reason, make=True) as acting:
            return await acting.add(content, digest_of(content), "api")

    async def take(
        self,
        principal: Principal,
        aliases: Sequence[ModelAlias],
        prompts: Iterable[PromptText] = (),
        *,
        reason: str,
        deploy: bool,
    ) -> list[RegistryVersion]:
        """New versions of the aliases that are not live as they are given, and with `deploy` live from then on: all of it or
        nothing. Without it none of what is there as a draft already. What they pin of the `prompts` is known here by its text,
        whatever its number. Raises as `add_model` does."""
        refuse_others(principal)
        made = []
        try:
            async with self._database.transaction(DEFAULT_TENANT) as session:
                texts = texts_of(prompts)
                for given in sorted(aliases, key=lambda each: each.alias):
                    alias = await placed(session, principal, given, texts, reason=reason, source="import")
                    acting = await Acting.on(session, principal, Registered.MODEL, alias.alias, reason=reason, make=True)
                    live = None if acting.head.live is None else await acting.version(acting.head.live)
                    content = content_of(alias)
                    if live is not None and says_the_same(live.content, content):
                        continue
                    if not deploy and await acting.has_draft(content):
                        continue
                    made.append(row := await _add(acting, alias, "import"))
                    if deploy:
                        await acting.deploy(row)
        except IntegrityError:
            raise _met() from None
        return made

    async def approve(
        self, principal: Principal, name: str, number: int, *, evaluation: str, score: float | None, reason: str
    ) -> RegistryVersion:
        """Note which evaluation approved a version of an alias. Raises Forbidden, NotFound."""
        async with self._changing(principal, Registered.MODEL, name, reason) as acting:
            row = await acting.version(number)
            await acting.approve(row, evaluation, score)
            return row

    async def deploy(
        self, principal: Principal, subject: Registered, name: str, number: int, *, reason: str, plan: Plan | None = None
    ) -> RegistryHead:
        """Give a version all requests, or by a plan a share of them that grows.

        Raises:
            Forbidden, NotFound, Conflict
            InvalidRequest: `kind_differs`, `vectors_differ`: it could not stand in for what is live; `embeddings_not_shared`: a
                plan for an alias of embeddings.
        """
        async with self._changing(principal, subject, name, reason) as acting:
            row = await acting.version(number)
            if plan is None:
                await acting.deploy(row)
            else:
                await acting.start_canary(row, plan)
            return acting.head

    async def roll_back(
        self, principal: Principal, subject: Registered, name: str, *, reason: str, to: int | None = None
    ) -> RegistryHead:
        """Take a canary back, or go back to what was live before, or to a version; experiments that give what is taken back are
        stopped, in all tenants. Raises as `deploy` does."""
        async with self._changing(principal, subject, name, reason) as acting:
            await acting.roll_back(to)
            return acting.head

    async def judged(
        self, principal: Principal, name: str, revision: int, *, well: bool, reason: str, figures: Mapping[str, Any]
    ) -> bool:
        """Let a canary go on that has done `well`, or take it back. False: it has changed since `revision`, and nothing was
        done."""
        async with self._changing(principal, Registered.MODEL, name, reason) as acting:
            if acting.head.revision != revision or acting.head.candidate is None:
                return False
            if well:
                await acting.advance(figures)
            else:
                await acting.roll_back(figures=figures)
            return True

    @asynccontextmanager
    async def _changing(
        self, principal: Principal, subject: Registered, name: str, reason: str, *, make: bool = False
    ) -> AsyncIterator[Acting]:
        refuse_others(principal)
        try:
            async with self._database.transaction(all_tenants=True) as session:
                yield await Acting.on(session, principal, subject, name, reason=reason, make=make)
        except IntegrityError:
            raise _met() from None


def refuse_others(principal: Principal) -> None:
    """Raises Forbidden (`operators_only`): the principal is of a tenant that shares the registry with others, and not the
    operator's own."""
    if principal.tenant != DEFAULT_TENANT:
        text = "The registry is everybody's: the operator's own tenant alone changes it."
        raise denials.barred(principal, text, code="operators_only")


def _met() -> Conflict:
    return Conflict("Somebody else is changing the same at this moment: try again.")


async def _add(acting: Acting, alias: ModelAlias, source: str) -> RegistryVersion:
    if acting.head.live is not None:
        check_stands_in(alias, alias_of((await acting.version(acting.head.live)).content))
    for name, number in alias.prompts.items():
        if number:
            await check_there(acting.session, alias.alias, name, number)
    content = content_of(alias)
    return await acting.add(content, digest_of(content), source)
