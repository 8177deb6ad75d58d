"""Answers of OpenAI's protocol as the SDK's types would have made them, for LangChain to read."""

from collections.abc import Iterable, Mapping
from typing import Any

from langchain_core.outputs import ChatGeneration, ChatResult
from openai.types.chat.chat_completion import ChatCompletion, Choice
from openai.types.completion_usage import CompletionTokensDetails, CompletionUsage, PromptTokensDetails

from core.errors import ContentRefused
from providers.neutral import refused, unreadable
from providers.openai_chunks import LOGPROBS_FIELDS
from providers.refusals import of_answers
from providers.usage import readable

#: The reason for the end of an answer that the provider's policy ended.
WITHHELD = "content_filter"
_ANSWER_FIELDS = dict.fromkeys(ChatCompletion.model_fields)
_CHOICE_FIELDS = dict.fromkeys(Choice.model_fields)
_USAGE_FIELDS = dict.fromkeys(CompletionUsage.model_fields)
_DETAILS_FIELDS = {
    "prompt_tokens_details": dict.fromkeys(PromptTokensDetails.model_fields),
    "completion_tokens_details": dict.fromkeys(CompletionTokensDetails.model_fields),
}


def complete(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer with the fields that the SDK's types add, so that LangChain makes the same of it."""
    if not isinstance(answer.get("choices"), list):
        raise unreadable()
    choices = [_CHOICE_FIELDS | choice for choice in answer["choices"]]
    for choice in choices:
        if choice["logprobs"]:
            choice["logprobs"] = LOGPROBS_FIELDS | choice["logprobs"]
    if usage := readable(answer.get("usage")):
        details = {name: fields | usage[name] for name, fields in _DETAILS_FIELDS.items() if usage.get(name)}
        usage = _USAGE_FIELDS | usage | details
    return _ANSWER_FIELDS | answer | {"choices": choices, "usage": usage}


def with_readable_usage(answer: Any) -> Any:
    """An answer, as JSON or of the SDK's types, with usage that can be read or none."""
    told = answer.get("usage") if isinstance(answer, dict) else answer.usage
    usage = told.model_dump(warnings=False) if isinstance(told, CompletionUsage) else told
    if not usage or (kept := readable(usage)) is usage:
        return answer
    if isinstance(answer, dict):
        return answer | {"usage": kept}
    return answer.model_copy(update={"usage": CompletionUsage.model_construct(**kept) if kept else None})


def each_its_own(result: ChatResult, answer: dict[str, Any]) -> ChatResult:
    """The result as the SDK's types would have made it; and where there are several choices, each with its own reason for the
    end and log probabilities: langchain-openai 1.7 gives all of them those of the last."""
    for generation, choice in zip(result.generations, answer["choices"], strict=True):
        generation.message.additional_kwargs["refusal"] = choice["message"].get("refusal")
        if len(answer["choices"]) > 1:
            own = {name: choice[name] for name in ("finish_reason", "logprobs")}
            generation.generation_info = (generation.generation_info or {}) | own
    return result


def withheld(generation: ChatGeneration, answers: Iterable[dict[str, Any]]) -> ContentRefused | None:
    """The error of an answer that the provider's policy ended: a part of one is no success. The provider's `answers` may say by
    which category. None for any other."""
    if (generation.generation_info or {}).get("finish_reason") != WITHHELD:
        return None
    return refused(of_answers(answers) or [WITHHELD])


def not_withheld(generation: ChatGeneration, answers: Iterable[dict[str, Any]]) -> None:
    """Raises the error of one that was withheld."""
    if (error := withheld(generation, answers)) is not None:
        raise error


def refusal_of(event: Mapping[str, Any]) -> str:
    """The words with which a stream's event says that the model will not answer, of which LangChain tells nothing."""
    choices = event.get("choices")
    words = (choices[0].get("delta") or {}).get("refusal") if choices else None
    return words if isinstance(words, str) else ""


def without_words(answer: Mapping[str, Any]) -> dict[str, Any]:
    """An answer as if it said nothing: what is left tells what it used, also where its words cannot be read."""
    choice = {"index": 0, "message": {"role": "assistant", "content": ""}, "finish_reason": "stop"}
    return complete({**answer, "choices": [choice]})
