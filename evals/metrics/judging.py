"""Judges: a chat model that is asked for a verdict in a strict form. What it does not say in that form is unmeasured."""

import re
import secrets
from collections.abc import Mapping, Sequence
from string import Template
from typing import TYPE_CHECKING, Any, Final, TypeVar

from langchain_core.messages import HumanMessage, SystemMessage
from pydantic import BaseModel, ConfigDict, ValidationError

from chains.prompting import PROMPTS, prompt
from core.context import current
from core.errors import NotFound, PlatformError, UnsupportedFeature
from evals.base import Score
from evals.metrics.base import digest

if TYPE_CHECKING:
    from providers.models import Models

_DIVIDER: Final = "\n---\n"
_FENCE: Final = re.compile(r"^\s*```(?:json)?\s*\n(.*?)\n?```\s*$", re.S)
#: Characters of a part that a judge is shown; what is longer could not be judged whole.
MOST_CHARACTERS: Final = 60_000
#: Enough for a reason and a verdict, of a model that thinks before it speaks, too.
_REPLY_TOKENS: Final = 2000


class Form(BaseModel):
    """What a judge has to reply: a base. Nothing beside it is taken."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


Given = TypeVar("Given", bound=Form)


class Judge:
    """The chat model of an alias. What it is shown stands between marks that are drawn anew for each question, so that no text
    can end its own part; and its reply counts only in the form that was asked for."""

    def __init__(self, models: "Models", alias: str) -> None:
        self._models = models
        self.alias = alias

    def described(self, file: str) -> list[str]:
        """Who judges and by which words, for signatures: the alias, its models and the prompt, of the version that the request
        goes by."""
        version = self._models.versions.chosen(self.alias)
        models = [f"{one.provider}/{one.model}" for one in version.alias.deployments]
        name = f"evals/{file}"
        words = version.prompts[name] if name in version.prompts else current().versions.prompt(name)
        return [
            f"judge={self.alias}",
            *models,
            f"prompt={prompt_digest(file) if words is None else digest(words.template)}",
        ]

    async def ask(
        self, file: str, form: type[Given], parts: Mapping[str, str], *, temperature: float = 0, **values: Any
    ) -> "Given | Score":
        """The judge's reply to a prompt file below `chains/prompts/evals/`, or the unmeasured score that tells why there is
        none: `too_long`, `unreadable_verdict`, or the code of the model's failure. `parts` are shown between marks, by name."""
        if any(len(text) > MOST_CHARACTERS for text in parts.values()):
            return Score.unmeasured("too_long")
        mark = f"data-{secrets.token_hex(8)}"
        shown = "\n\n".join(f"<{mark} {name}>\n{text}\n</{mark} {name}>" for name, text in parts.items())
        system, _, user = prompt(f"evals/{file}").template.partition(_DIVIDER)
        given = {"mark": mark, "parts": shown, **values}
        messages = [SystemMessage(_filled(system, given)), HumanMessage(_filled(user, given))]
        try:
            reply = await self._reply(messages, form, temperature)
        except PlatformError as error:
            return Score.unmeasured(error.code)
        return parsed(reply, form) or Score.unmeasured("unreadable_verdict")

    async def _reply(self, messages: Sequence[Any], form: type[Form], temperature: float) -> str:
        model: Any = self._models.chat(self.alias)
        described = {"name": form.__name__.lower(), "schema": form.model_json_schema(), "strict": True}
        parameters = {"temperature": temperature, "max_tokens": _REPLY_TOKENS}
        try:
            reply = await model.bind(**parameters, response_format={"type": "json_schema", "json_schema": described}).ainvoke(
                list(messages)
            )
        except UnsupportedFeature:  # the prompt asks for the form as well
            reply = await model.bind(**parameters).ainvoke(list(messages))
        return str(reply.text)


def parsed(reply: str, form: type[Given]) -> Given | None:
    """The form that a reply keeps to, a code block around it aside; None where it does not."""
    fenced = _FENCE.match(reply)
    try:
        return form.model_validate_json(fenced[1] if fenced else reply)
    except (ValidationError, RecursionError):
        return None


def checked_alias(models: "Models", alias: str | None) -> None:
    """Raises ValueError: there is no such chat model."""
    if alias is None:
        return
    try:
        models.facts(alias)
    except NotFound:
        raise ValueError(f"judge: there is no model {alias!r}") from None


def prompt_digest(file: str) -> str:
    """What changes with the words of a prompt file, for signatures."""
    return digest((PROMPTS / "evals" / file).read_text(encoding="utf-8"))


def numbered(texts: Sequence[str]) -> str:
    """The texts, each behind its number."""
    return "\n".join(f"{number}. {' '.join(text.split())}" for number, text in enumerate(texts, 1))


def _filled(template: str, given: Mapping[str, Any]) -> str:
    return Template(template).substitute(given)
