"""Asks the chat model for a step of a search: the caller's own rights and budget hold, and the answer may do without it."""

from langchain_core.messages import HumanMessage

from chains.root import admit_to_model
from chains.spec import ChainDeps
from core.context import sparing
from providers.models import DEFAULT


async def asked(deps: ChainDeps, alias: str | None, text: str, *, max_tokens: int, sources: int = 0) -> str:
    """What the model of an alias says to a prompt. `sources`: how many passages stand in it, which a cache must compare word
    for word.

    Raises:
        Forbidden: `model_not_allowed`: the caller's key is for other models.
        PlatformError: the model gives no answer, or there is no room for it in a budget.
    """
    admit_to_model(alias or DEFAULT)
    message = HumanMessage(text, additional_kwargs={"sources": sources} if sources else {})
    with sparing():
        reply = await deps.models.chat(alias).bind(temperature=0, max_tokens=max_tokens).ainvoke([message])
    return reply.text.strip()
