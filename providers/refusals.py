"""Why a provider refused content, as far as it says so in OpenAI's and Azure's forms: categories, never its own words."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

#: A category is a name. Anything else may repeat the prompt.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_/-]{0,39}")


def categories(results: Any) -> list[str]:
    """Those that were filtered by: of Azure's results (`{"violence": {"filtered": true}}`), of the flags of OpenAI's moderation
    (`{"violence": true}`), or of a list of names."""
    if isinstance(results, Mapping):
        found = [name for name, each in results.items() if (each.get("filtered") if isinstance(each, Mapping) else each)]
    else:
        found = results if isinstance(results, list) else []
    return [name for name in found if isinstance(name, str) and _NAME.fullmatch(name)]


def of_error(body: Mapping[str, Any]) -> list[str]:
    """Of the body of an error."""
    inner = body.get("innererror")
    places = (inner, body) if isinstance(inner, Mapping) else (body,)
    fields = ("content_filter_result", "content_filter_results", "categories")
    return [name for place in places for each in fields for name in categories(place.get(each))]


def of_answers(answers: Iterable[Mapping[str, Any]]) -> list[str]:
    """Of answers, or of the events of a stream."""
    choices = (choice for answer in answers for choice in answer.get("choices") or () if isinstance(choice, Mapping))
    return [name for choice in choices for name in categories(choice.get("content_filter_results"))]
