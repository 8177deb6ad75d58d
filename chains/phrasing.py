"""Puts what was found into words: a small model is checked sentence by sentence, a large one marks its sources."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import structlog
from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage

from chains.citations import marked, without_marks
from chains.follow_ups import Reading, follows, readings
from chains.histories import room, trimmed
from chains.intervals import is_cut
from chains.messages import User, to_langchain
from chains.parameters import ModelChoice
from chains.prompting import prompt
from chains.protection.protection import Found, admit_said
from chains.quotes import REFERS, Quote, candidates, enumerated, plain, with_columns
from chains.source_code import fenced
from chains.spec import ChainDeps
from chains.specifics import Words, figures, spelt_numbers
from chains.support import backing, leaves_out, supporting, without_repetition
from core.context import sparing
from core.errors import PlatformError, PolicyRefused
from retrievers.base import Chunk, Passage
from retrievers.sentences import units

log = structlog.get_logger()

PROMPTS = ("rag_small.txt", "rag_small_question.txt", "rag.txt", "rag_question.txt", "rag_rewrite.txt")
#: What a large model says when the sources do not answer.
_NOTHING = "NOT_FOUND"
_SMALL_ANSWER_TOKENS = 64
#: Quotes that a small model is shown: with more it mixes them up.
_SHOWN = 3
_WORTH_WAITING_S = 6.0
ANSWER_TOKENS = 1024
#: Messages of a conversation that go into a prompt.
TURNS = 6
_LEAD = re.compile(
    r"^\W*(?:(?:quote|answer|the answer(?: to (?:this|the|your) question)?(?: is)?)\s*:\s*|the answer is\s+)+", re.I
)
#: Quotes that stand for an answer themselves: so many of so many characters, each this relevant in relation to the best.
_QUOTED = 3
_QUOTED_CHARACTERS = 320
#: Characters between two sentences that follow each other.
_GAP = 3
_AS_GOOD = 0.88
#: Lines that are answered with as they are. Of a row whose columns are numbers, as years, a small model takes the wrong one.
_LINES = re.compile(r"^[ \t]*(?:\||```|~~~)|\| \d[\d-]*: [^\n]*\| \d[\d-]*: ", re.M)


@dataclass(frozen=True, slots=True)
class Phrased:
    """A large model's whole answer, with the stretches that its marks stand for."""

    text: str
    quotes: tuple[Quote, ...]
    answered: bool


async def standalone(deps: ChainDeps, question: str, history: Sequence[Any], alias: str | None) -> list[Reading]:
    """What the question may mean, in words that can be searched for, the likeliest first: a follow-up brings along what it
    follows."""
    asked, answers = _turns(history)
    alone = [Reading(question, question)]
    if not asked:
        return alone
    words = deps.library.resources.lexical.words
    alias = deps.settings.chains.rag.rewrite_model or alias
    if deps.models.facts(alias).small:  # it rewrites badly
        return readings([*asked, question], answers, words=words)
    if not follows(question):
        return alone
    recalled = history[-TURNS:]
    await admit_said(deps, [question, *(message.text() for message in recalled)], [alias])
    turns = "\n".join(f"{message.role}: {message.text()}" for message in recalled)
    text = prompt("rag_rewrite.txt").substitute(conversation=turns, question=question)
    try:
        with sparing():
            reply = await deps.models.chat(alias).bind(temperature=0, max_tokens=200).ainvoke([HumanMessage(text)])
    except PolicyRefused:
        raise
    except PlatformError as error:  # a step on the way to the answer, which may well be found without it
        log.warning("rag.not_rewritten", reason=error.code)
        return readings([*asked, question], answers, words=words)
    rewritten = reply.text.strip()[:2000] or question
    return [Reading(rewritten, rewritten), *alone]


def _turns(history: Sequence[Any]) -> tuple[list[str], list[str]]:
    """The questions of a conversation, and what each was answered with, empty where that is not known."""
    asked: list[str] = []
    answers: list[str] = []
    for message in history:
        if isinstance(message, User):
            asked.append(message.text())
            answers.append("")
        elif answers:
            answers[-1] = message.text()
    return asked, answers


async def from_quotes(deps: ChainDeps, asked: ModelChoice, question: str, quotes: Sequence[Quote]) -> tuple[str, list[Quote]]:
    """A small model's answer as far as it keeps to the quotes, else the best quotes themselves; and the quotes it stands on.

    The quotes are the answer already, so nobody waits long for a better wording: a model that is busy or fails is done without.
    """
    resources = deps.library.resources
    quotes = quotes if quotes[0].row else quotes[:_SHOWN]
    said = [quote.text if quote.program else plain(quote.text) for quote in quotes]
    named = ["\n".join(plain(other.text) for other in quotes if _goes_on(quote, other)) for quote in quotes]
    around = [
        f"{quote.chunk.context}\n{quote.heading}\n{quote.columns}\n{subject}"
        for quote, subject in zip(quotes, named, strict=True)
    ]
    words = resources.lexical.words
    kept: list[str] = []
    used: list[Quote] = []
    # a small model loses the rows of a table, the entries of a list and the lines of code, and adds words to what is no
    # sentence: they are answered with as they are
    best = quotes[0]
    as_it_is = best.program or best.row or best.kind in ("entry", "list", "code", "remedy") or _LINES.search(best.text)
    reply = "" if as_it_is else await _reply(deps, asked, question, quotes)
    for sentence in _sentences(reply):
        stripped = without_repetition(sentence, question, around, words=words)
        if (place := supporting(stripped, said, question, words=words, around=around)) is None:
            break
        kept.append(_as_sentence(_capital(plain(stripped))))
        used += [quotes[place]] if quotes[place] not in used else []
    text = " ".join(kept)
    # an answer that leaves out the best quote answers something else, and one that tells one end of a time but half
    rests = quotes[0] in used or any(_goes_on(quote, quotes[0]) for quote in used)
    cut = is_cut(question, text, said) or leaves_out(text, used, question, words=words)
    if rests and not cut and not _dangles(text, used, quotes):
        return text, used
    close = standing(quotes)
    return ("\n\n" if any(quote.program for quote in close) else " ").join(_whole(quote) for quote in close), close


def standing(quotes: Sequence[Quote]) -> list[Quote]:
    """The quotes that stand for an answer themselves: the best, and those about as good, a section's in its order."""
    best = quotes[0]
    close = [best]
    for quote in quotes[1:]:
        if best.row and quote.row and quote.relevance == best.relevance:  # of one table, with all that was asked for
            close.append(quote)
            continue
        characters = sum(len(other.text) for other in close) + len(quote.text)
        if len(close) >= _QUOTED:
            continue
        as_good = quote.relevance >= _AS_GOOD * best.relevance or _goes_on(quote, best) or _goes_on(best, quote)
        if as_good and characters <= _QUOTED_CHARACTERS:
            close.append(quote)
    beside = [quote for quote in close if quote.chunk.document_id == best.chunk.document_id and quote.heading == best.heading]
    return sorted(beside, key=lambda quote: quote.start) + [quote for quote in close if quote not in beside]


def _goes_on(quote: Quote, other: Quote) -> bool:
    """Whether a quote says more of what the sentence right before it names (`Its maximum depth is …`)."""
    between = quote.start - other.end
    return quote.chunk.id == other.chunk.id and 0 <= between <= _GAP and bool(REFERS.match(plain(quote.text)))


def _dangles(text: str, used: Sequence[Quote], quotes: Sequence[Quote]) -> bool:
    """Whether an answer begins with `It …` and leaves out the sentence that says what it is."""
    return bool(REFERS.match(text)) and any(_goes_on(used[0], other) and other not in used for other in quotes)


def shown(chunk: Chunk) -> tuple[str, str, str]:
    """What a prompt holds of a chunk: its document's name, its context and its text. Guards read it before."""
    return _attribute(chunk.document), _defused(chunk.context), _defused(chunk.text)


def as_sources(deps: ChainDeps, alias: str | None, passages: Sequence[Passage]) -> str:
    """The passages as they stand in the prompt of a model, numbered from 1."""
    sources = [
        f'<source number="{number}" document="{name}">\n{context}\n{text}\n</source>'
        for number, (name, context, text) in enumerate((shown(passage.chunk) for passage in passages), 1)
    ]
    # whole: a name alone may be a word of the question as well, which other rules are for
    Found(deps, alias).mark(sources)
    return "\n\n".join(sources)


async def from_sources(
    deps: ChainDeps, asked: ModelChoice, question: str, history: Sequence[Any], passages: Sequence[Passage]
) -> AsyncIterator[str | Phrased]:
    """A large model's answer piece by piece, and at the end the whole with what its marks stand for."""
    sources = as_sources(deps, asked.model, passages)
    # marked, so that a cache compares it word for word: what means nearly the same may be of another's documents
    asking = HumanMessage(
        prompt("rag_question.txt").substitute(sources=sources, question=question),
        additional_kwargs={"sources": len(passages)},
    )
    lead = SystemMessage(prompt("rag.txt").substitute(nothing=_NOTHING))
    sampling = _sampling(asked, ANSWER_TOKENS)

    def fitting() -> Sequence[Any]:
        count, window = partial(deps.models.count_tokens, alias=asked.model), deps.models.facts(asked.model).context_tokens
        most = deps.settings.conversations.history_tokens
        budget = room([lead, asking], most=most, window=window, answer=sampling["max_tokens"], count=count)
        return trimmed(history[-TURNS:], budget_tokens=budget, count=count)

    before = await asyncio.to_thread(fitting) if history else []
    messages: list[BaseMessage] = [lead, *to_langchain(before), asking]
    text, sent = "", 0
    async for chunk in deps.models.chat(asked.model).bind(**sampling).astream(messages):
        text += chunk.text
        # nothing leaves before it is clear that this is an answer
        if not _NOTHING.startswith(text.strip()[: len(_NOTHING)]) and len(text) > sent:
            yield text[sent:]
            sent = len(text)
    answered = bool(text.strip()) and not text.strip().startswith(_NOTHING)
    if answered and sent < len(text):
        yield text[sent:]
    yield Phrased(text.strip(), tuple(_cited(text, passages, deps.library.resources.lexical.words)), answered)


def unmarked(text: str, passages: Sequence[Passage], *, words: Words) -> list[Quote]:
    """What of the passages a large model's answer stands on, whatever it has marked: for each of its sentences the stretch that
    says it, where one does."""
    pool = [quote for passage in passages for quote in candidates(passage.chunk)]
    found = [backing(without_marks(sentence), pool, words=words) for sentence, _ in marked(text)]
    return [replace(quote, relevance=1.0) for quote in found if quote is not None]


async def _reply(deps: ChainDeps, asked: ModelChoice, question: str, quotes: Sequence[Quote]) -> str:
    Found(deps, asked.model).mark([_placed(quote) for quote in quotes])
    message = prompt("rag_small_question.txt").substitute(
        quotes="\n".join(f"- {_placed(quote)}" for quote in quotes), question=question
    )
    # with a seed the same question gets the same answer
    sampling = {"seed": 0} | _sampling(asked, _SMALL_ANSWER_TOKENS)
    model = deps.models.chat(asked.model).bind(**sampling)
    try:
        async with asyncio.timeout(_WORTH_WAITING_S):
            return (await model.ainvoke([SystemMessage(prompt("rag_small.txt").substitute()), HumanMessage(message)])).text
    except PolicyRefused:
        raise
    except (TimeoutError, PlatformError) as error:
        log.info("rag.quoted_only", reason=type(error).__name__)
        return ""


def _sampling(asked: ModelChoice, max_tokens: int) -> dict[str, Any]:
    given = {"temperature": asked.temperature, "max_tokens": asked.max_tokens, "seed": asked.seed}
    return {"temperature": 0.0, "max_tokens": max_tokens} | {name: value for name, value in given.items() if value is not None}


def _placed(quote: Quote) -> str:
    """A quote with the heading that it stands under, which often names what it is about."""
    heading = quote.chunk.context.split("\n", 1)[0].rsplit(" › ", 1)[-1]
    text = plain(quote.text)
    return f"{heading}: {text}" if heading and heading.lower() not in text.lower() else text


def _sentences(text: str) -> list[str]:
    """A reply's sentences, without what a small model likes to put before them."""
    said = _LEAD.sub("", text).strip()
    if re.fullmatch(r"[\"“][^\"“”]+[\"”]", said):
        said = said[1:-1]
    return [said[unit.start : unit.end] for unit in units(said)]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _whole(quote: Quote) -> str:
    """A quote as it answers by itself: of a sentence that goes on behind it, that is shown."""
    if quote.program:
        return fenced(quote.text, quote.program)
    if quote.kind == "code":
        return quote.text
    text = with_columns(quote) or (enumerated(quote.text) if quote.kind == "list" else plain(quote.text))
    return f"{text.rstrip(' ,;:')} …" if quote.cut else _as_sentence(text)


def _as_sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?", "…", ":", "。")) else f"{text}."


def _cited(text: str, passages: Sequence[Passage], words: Any) -> list[Quote]:
    """For each mark, the stretch of its source that is closest to the sentence that it belongs to. A source that holds none
    of the sentence's numbers is not where it comes from, whatever the mark says."""
    found: list[Quote] = []
    for sentence, numbered in marked(text):
        said = without_marks(sentence)
        own, told = set(words(said)), figures(said)
        for number in numbered:
            if not 1 <= number <= len(passages):
                continue
            chunk = passages[number - 1].chunk
            if told and not told & spelt_numbers(f"{chunk.document}\n{chunk.context}\n{chunk.text}"):
                continue
            if pool := candidates(chunk):
                best = max(pool, key=lambda quote: _closeness(quote.text, own, told, words))
                found.append(replace(best, relevance=1.0))
    return found


def _closeness(text: str, own: AbstractSet[str], told: AbstractSet[str], words: Any) -> float:
    """How much of a sentence's words a stretch holds, in relation to its length, and before that of its numbers."""
    held = set(words(text))
    return len(told & spelt_numbers(text)) + len(own & held) / (8 + len(held))


def _defused(text: str) -> str:
    """A source cannot end its own mark."""
    return re.sub(r"<(/?\s*source)", r"&lt;\1", text, flags=re.I)


def _attribute(text: str) -> str:
    return re.sub(r'["<>\n]', " ", text)
