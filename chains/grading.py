"""Asks a model of its own whether what was found answers the question, before another one puts it into words."""

import re
from collections.abc import Sequence

import structlog
from langchain_core.messages import HumanMessage

from chains.phrasing import as_sources, shown
from chains.prompting import prompt
from chains.protection.protection import Found, admit_said
from chains.spec import ChainDeps
from core.context import sparing
from core.errors import PlatformError, PolicyRefused
from retrievers.base import Passage

log = structlog.get_logger()

PROMPT = "rag_grade.txt"
#: Enough for a model that thinks before it says its word.
_REPLY_TOKENS = 200
_NO = re.compile(r"\W*no\b", re.I)


async def refuted(deps: ChainDeps, question: str, passages: Sequence[Passage]) -> bool:
    """Whether the model of `chains.rag.grade_model` says that the passages do not answer the question. Without one, where it
    fails, and where it says neither yes nor no, they may.

    Raises:
        PolicyRefused: the tenant's policies do not let it see them.
    """
    alias = deps.settings.chains.rag.grade_model
    if not alias:
        return False
    await admit_said(deps, [question], [alias])
    passages = await Found(deps, alias).passages(passages, lambda passage: "\n".join(shown(passage.chunk)))
    if not passages:
        return False
    text = prompt(PROMPT).substitute(sources=as_sources(deps, alias, passages), question=question)
    # marked, as the sources of an answer are: a cache compares it word for word
    asked = HumanMessage(text, additional_kwargs={"sources": len(passages)})
    try:
        with sparing():
            reply = await deps.models.chat(alias).bind(temperature=0, max_tokens=_REPLY_TOKENS).ainvoke([asked])
    except PolicyRefused:
        raise
    except PlatformError as error:  # the answer is checked in other ways, too
        log.warning("rag.not_graded", reason=error.code)
        return False
    return _NO.match(reply.text) is not None
