"""Moderation: a model says which categories a text belongs to: a chat model that is asked, or a moderation endpoint."""

import asyncio
import re
from typing import Annotated, Any, ClassVar, Final

from langchain_core.messages import HumanMessage, SystemMessage
from pydantic import Field, StringConstraints, model_validator

from chains.guards.base import Finding, Guard, Options
from chains.guards.readings import unescaped
from chains.prompting import DIVIDER, prompt
from core.errors import Unavailable
from core.policies.policy import Side

PROMPT: Final = "guards/moderation.txt"
_SAFE: Final = "safe"
_USUAL: Final = ("harassment", "hate", "illicit", "self-harm", "sexual", "violence")

Category = Annotated[str, StringConstraints(min_length=2, max_length=64, pattern=r"^[A-Za-z][A-Za-z0-9/_ -]*$")]


class ModerationOptions(Options):
    """`alias`: a chat model that is asked; or `provider` with `model`: its endpoint `/moderations`, in OpenAI's protocol."""

    alias: str | None = Field(None, max_length=128)
    provider: str | None = Field(None, max_length=128)
    model: str = Field("omni-moderation-latest", max_length=128)
    categories: tuple[Category, ...] = Field(_USUAL, min_length=1, max_length=50)
    threshold: float = Field(0.5, gt=0, le=1, description="score of the endpoint from which on a text is stopped")
    timeout_s: float = Field(10, gt=0, le=120)

    @model_validator(mode="after")
    def _one_of_both(self) -> "ModerationOptions":
        if (self.alias is None) == (self.provider is None):
            raise ValueError("give an alias, or a provider with its moderation model")
        return self


class Moderation(Guard):
    """Objects to a text of one of the categories. A model that does not answer lets nothing pass where the guard blocks."""

    options_type = ModerationOptions
    usual: ClassVar[tuple[Side, ...]] = (Side.INPUTS, Side.OUTPUTS)
    window: ClassVar[int] = 1200

    async def read(self, text: str) -> Finding | None:
        meant = unescaped(text)
        return await (self._asked(meant) if self.options.alias is not None else self._scored(meant))

    async def _scored(self, text: str) -> Finding | None:
        from providers.moderation import moderated

        options = self.options
        scores = await moderated(self.models, options.provider, options.model, text, timeout_s=options.timeout_s)
        names = {_plain(name) for name in options.categories}
        # an endpoint's own narrower categories (`hate/threatening`) belong to the wider one
        among = {name: score for name, score in scores.items() if names & {_plain(name), _plain(name.partition("/")[0])}}
        worst = max(among, key=among.__getitem__, default=None)
        return Finding(worst, round(among[worst], 2)) if worst is not None and among[worst] >= options.threshold else None

    async def _asked(self, text: str) -> Finding | None:
        categories = "\n".join(f"- {name}" for name in self.options.categories)
        said = text.replace("</text", "< /text")
        system, _, user = prompt(PROMPT).substitute(categories=categories, text=said).partition(DIVIDER)
        model: Any = self.models.chat(self.options.alias).bind(temperature=0, max_tokens=16)
        try:
            async with asyncio.timeout(self.options.timeout_s):
                reply = await model.ainvoke([SystemMessage(system), HumanMessage(user)])
        except TimeoutError:
            raise _unavailable("timeout") from None
        word = _plain(reply.text)
        if word == _SAFE:
            return None
        named = [name for name in self.options.categories if _plain(name) == word]
        if not named:
            raise _unavailable("answer")
        return Finding(named[0])


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "", name.casefold())


def _unavailable(reason: str) -> Unavailable:
    message = "The moderation model does not answer, so the text cannot pass."
    return Unavailable(message, code="moderation_unavailable", context={"reason": reason})
