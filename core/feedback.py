"""Feedback on answers: given for a request, once by each principal, and read by those who may.

A comment is somebody's words: personal data in it is handled as the tenant's policy says, it is sealed, and where nothing may
be kept it is refused. What is left is a number about a row of the ledger.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy.exc import IntegrityError
from sqlmodel import and_, col, or_, select

from core.context import RequestContext
from core.database import Database, utc_now
from core.encryption.envelope import Place
from core.errors import InvalidRequest, NotFound
from core.policies.policy import Place as PolicyPlace
from core.policies.privacy import Passing, Privacy, record_of
from core.policies.retention import refuse_keeping
from core.policies.store import Policies
from core.principals import Principal, Scope
from core.tables import Feedback, LedgerRow

#: What rules for personal data call it, where they are for some capabilities alone.
CAPABILITY: Final = "feedback"


@dataclass(frozen=True, slots=True)
class Judgement:
    """`score` is 0 to 1 and None where only `scores`, judgements by name, are given."""

    request_id: str
    score: float | None = None
    comment: str | None = None
    labels: Sequence[str] = ()
    scores: Mapping[str, float] = field(default_factory=dict)


class FeedbackBook:
    """The feedback of a tenant. Another's request is not found."""

    def __init__(self, database: Database, privacy: Privacy, policies: Policies) -> None:
        self._database, self._privacy, self._policies = database, privacy, policies

    async def give(self, request: RequestContext, given: Judgement) -> tuple[Feedback, str | None]:
        """Keep what the caller thinks of a request, in the place of what they thought before; with the comment as it is kept.
        May be repeated.

        Raises:
            NotFound: `request_not_found`: there is no such request, or it is somebody else's and the caller may not judge it.
            InvalidRequest: `nothing_kept`: a comment where nothing may be kept.
            PersonalDataBlocked: in the comment.
        """
        principal = request.principal
        await self._check(principal, given.request_id)
        comment = await self._comment(request, given.comment)
        try:
            return await self._put(principal, given, comment), comment
        except IntegrityError:  # the same caller has given some at the same time
            return await self._put(principal, given, comment), comment

    async def withdraw(self, principal: Principal, request_id: str) -> None:
        """Take the caller's own back. Raises NotFound (`feedback_not_found`)."""
        async with self._database.transaction(principal.tenant) as session:
            row = (await session.exec(select(Feedback).where(*_of(principal, request_id)))).first()
            if row is None:
                raise NotFound("You have given no feedback on that request.", code="feedback_not_found")
            await session.delete(row)

    async def page(
        self, principal: Principal, limit: int, after: str | None, *, request_id: str | None = None, label: str | None = None
    ) -> tuple[list[tuple[Feedback, str | None]], str | None]:
        """Some of it with the comments that the caller may read, the newest first, and the position to go on from: their own;
        everybody's for who may read experiments. Others' comments are for who manages experiments."""
        all_of_it = principal.may(Scope.EXPERIMENTS_READ) or principal.may(Scope.EXPERIMENTS_MANAGE)
        conditions = [] if all_of_it else [col(Feedback.principal) == principal.id]
        conditions += [] if request_id is None else [col(Feedback.request_id) == request_id]
        if after is not None:
            async with self._database.session(principal.tenant) as session:
                last = await session.get(Feedback, after)
            if last is None:
                raise InvalidRequest("The cursor is not one that this list gave.", code="invalid_cursor", param="cursor")
            at, identity = col(Feedback.created_at), col(Feedback.id)
            conditions.append(or_(at < last.created_at, and_(at == last.created_at, identity < last.id)))
        query = select(Feedback).where(*conditions).order_by(col(Feedback.created_at).desc(), col(Feedback.id).desc())
        async with self._database.session(principal.tenant) as session:
            rows = list((await session.exec(query.limit(limit + 1))).all())
        shown = [row for row in rows[:limit] if label is None or label in row.labels]
        told = [(row, await self._opened(principal, row)) for row in shown]
        return told, rows[limit - 1].id if len(rows) > limit else None

    async def _check(self, principal: Principal, request_id: str) -> None:
        query = select(LedgerRow.principal).where(LedgerRow.tenant == principal.tenant, LedgerRow.request_id == request_id)
        async with self._database.session(principal.tenant) as session:
            whose = (await session.exec(query.limit(1))).first()
        if whose is None or (whose != principal.id and not principal.may(Scope.EXPERIMENTS_MANAGE)):
            raise NotFound("There is no such request of yours.", code="request_not_found", param="request_id")

    async def _comment(self, request: RequestContext, comment: str | None) -> str | None:
        if not comment:
            return None
        refuse_keeping(self._policies, request, "a comment cannot be kept", param="comment")
        modes = self._privacy.modes(PolicyPlace.PROMPTS, capability=CAPABILITY)
        if not modes:
            return comment
        passing = Passing(self._privacy, modes, record_of(request), for_good=True)
        text = await passing.text(comment)
        passing.told()
        return text

    async def _put(self, principal: Principal, given: Judgement, comment: str | None) -> Feedback:
        async with self._database.session(principal.tenant) as session:
            found = (await session.exec(select(Feedback).where(*_of(principal, given.request_id)))).first()
        row = found or Feedback(tenant=principal.tenant, request_id=given.request_id, principal=principal.id)
        sealed = None if comment is None else await self._database.keyring.seal(_place(row), comment.encode())
        async with self._database.transaction(principal.tenant) as session:
            if found is not None:
                kept = await session.get(Feedback, found.id)
                row = kept or Feedback(**found.model_dump())  # it was withdrawn meanwhile
            row.score, row.comment, row.updated_at = given.score, sealed, utc_now()
            row.labels, row.scores = list(given.labels), dict(given.scores)
            session.add(row)
        return row

    async def _opened(self, principal: Principal, row: Feedback) -> str | None:
        if row.comment is None or (row.principal != principal.id and not principal.may(Scope.EXPERIMENTS_MANAGE)):
            return None
        return (await self._database.keyring.open(_place(row), row.comment)).decode()


def _of(principal: Principal, request_id: str) -> tuple[bool, ...]:
    return (Feedback.tenant == principal.tenant, Feedback.request_id == request_id, Feedback.principal == principal.id)


def _place(row: Feedback) -> Place:
    return Place(row.tenant, Feedback.__tablename__, "comment", row.id)
