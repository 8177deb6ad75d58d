"""Datasets from production traffic: the exchanges of kept conversations, with the personal data taken out of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlmodel import col, select

from chains.conversations import Conversations, may_read
from core.database import Database
from core.principals import Principal
from core.redaction.analyser import Analyser
from core.redaction.replacement import redacted
from core.tables import Conversation
from evals.base import Example


@dataclass(frozen=True, slots=True)
class Wanted:
    """What conversations are taken: those of `capability` last added to between two moments, the newest first, until there
    are as many examples as `most`. `everybodys`: of all of the tenant, else the caller's own. `expected`: the answer that
    was given is what others are held against."""

    capability: str = "chat"
    since: datetime | None = None
    until: datetime | None = None
    most: int = 200
    everybodys: bool = False
    expected: bool = True


@dataclass(frozen=True, slots=True)
class Taken:
    """The examples, and whose each is. `from_collections`: collections were asked in a conversation that they come from."""

    examples: list[Example]
    subjects: list[str | None]
    from_collections: bool


async def taken(database: Database, analyser: Analyser, principal: Principal, wanted: Wanted) -> Taken:
    """An example for each answer, with all messages before it as its input; and whose each is. Whatever the analyser finds is
    replaced by its type, so what it does not find stays: see `docs/privacy.md`. Messages with images, and calls of tools, are
    left out with all that follows them."""
    query = select(Conversation).where(Conversation.tenant == principal.tenant, Conversation.capability == wanted.capability)
    if not wanted.everybodys:
        query = query.where(Conversation.owner == principal.id)
    if wanted.since is not None:
        query = query.where(col(Conversation.updated_at) >= wanted.since)
    if wanted.until is not None:
        query = query.where(col(Conversation.updated_at) < wanted.until)
    async with database.session(principal.tenant) as session:
        query = query.order_by(col(Conversation.updated_at).desc(), Conversation.id).limit(wanted.most)
        rows = (await session.exec(query)).all()
    examples: list[Example] = []
    subjects: list[str | None] = []
    from_collections = False
    for row in rows:
        if len(examples) >= wanted.most:
            break
        if not may_read(principal, row.collections):
            continue
        messages = await Conversations(database).history(replace(principal, id=row.owner), row.name)
        found = await exchanges(analyser, row.id, messages, wanted)
        found = found[: wanted.most - len(examples)]
        examples += found
        subjects += [row.owner] * len(found)
        from_collections |= bool(found) and row.collections != []
    return Taken(examples, subjects, from_collections)


async def exchanges(analyser: Analyser, name: str, messages: Sequence[Any], wanted: Wanted) -> list[Example]:
    """What `taken` makes of one conversation: `name` and the answer's place in it are an example's identifier."""
    said: list[tuple[str, str]] = []
    for message in messages:
        if message.has_images() or message.role not in ("system", "user", "assistant") or getattr(message, "tool_calls", ()):
            break
        said.append((message.role, message.text()))
    texts = await analyser.adetect([text for _, text in said], patient=True)
    clean = [(role, redacted(text, found)[0]) for (role, text), found in zip(said, texts, strict=True)]
    examples = []
    for place in range(1, len(clean)):
        if (clean[place - 1][0], clean[place][0]) != ("user", "assistant"):
            continue
        before = [{"role": role, "content": text} for role, text in clean[:place]]
        expected = clean[place][1] if wanted.expected else None
        examples.append(Example(f"{name}-{place}", {"messages": before}, expected))
    return examples
