"""What a version holds: of a model what the settings say of an alias, of a prompt its text."""

import hashlib
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from string import Template
from typing import Any, Final

import orjson
from pydantic import ValidationError

from core.errors import InvalidRequest
from core.settings import ModelAlias

#: Amounts of more digits before, or noughts behind, the point are left as they are.
_DIGITS: Final = 100


def content_of(alias: ModelAlias) -> dict[str, Any]:
    """An alias as a version keeps it: what is said of it, without what holds anyway."""
    return alias.model_dump(mode="json", exclude_defaults=True)


def plain(content: Mapping[str, Any]) -> dict[str, Any]:
    """A content with its prices written in one way: what was given as `10.0` or `1E+1` is `10`."""
    deployments = content.get("deployments")
    if not isinstance(deployments, list):
        return dict(content)
    return {**content, "deployments": [_plain_price(each) for each in deployments]}


def says_the_same(content: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two contents of an alias do, however their prices are written."""
    return digest_of(plain(content)) == digest_of(plain(other))


def digest_of(content: Mapping[str, Any]) -> str:
    """Tells whether two contents are written alike."""
    return hashlib.blake2b(orjson.dumps(content, option=orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()


def alias_of(content: Mapping[str, Any]) -> ModelAlias:
    """The alias that a version's content speaks of.

    Raises:
        InvalidRequest: `invalid_version`: it cannot be used; the message names the first field that cannot.
    """
    try:
        return ModelAlias.model_validate(dict(content))
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, problem["loc"]))[:200]
        told = problem["msg"].removeprefix("Value error, ")
        raise InvalidRequest(f"{where}: {told}" if where else told, code="invalid_version", param=where or None) from None


def check_stands_in(new: ModelAlias, live: ModelAlias) -> None:
    """Refuse a version that is asked for other things than the live one, or whose vectors do not compare with its vectors.

    Raises:
        InvalidRequest: `kind_differs`, `vectors_differ`.
    """
    if new.kind != live.kind:
        raise InvalidRequest(f"The alias {live.alias!r} is of the kind {live.kind}.", code="kind_differs", param="kind")
    if new.kind == "embeddings" and new.deployments[0].served_model != live.deployments[0].served_model:
        raise InvalidRequest(
            "Vectors of another model do not compare with those that are kept: give it an alias of its own, and move the "
            "collections to it.",
            code="vectors_differ",
            param="deployments",
        )


def check_may_be_tried(alias: ModelAlias) -> None:
    """Refuse a version that would stand beside the live one for some requests alone.

    Raises:
        InvalidRequest: `embeddings_not_shared`.
    """
    if alias.kind == "embeddings":
        raise InvalidRequest(
            "Two versions of an embeddings alias do not share its requests: vectors of both would be kept in one collection, "
            "and those of the one that is taken back would stay. Deploy it to all requests.",
            code="embeddings_not_shared",
        )


def _plain_price(deployment: Any) -> Any:
    if not isinstance(deployment, Mapping) or not isinstance(prices := deployment.get("price"), list):
        return deployment
    return {**deployment, "price": [_plain_amount(each) for each in prices]}


def _plain_amount(amount: Any) -> Any:
    if isinstance(amount, Mapping):
        return {name: _plain_amount(each) for name, each in amount.items()}
    try:
        value = Decimal(amount) if isinstance(amount, str) else None
    except InvalidOperation:
        return amount
    if value is None or not value.is_finite() or abs(value.adjusted()) > _DIGITS:
        return amount
    digits = f"{value:f}"
    return (digits.rstrip("0").rstrip(".") if "." in digits else digits) if value else "0"


def places_of(text: str) -> frozenset[str]:
    """The names of the values that a prompt has places for.

    Raises:
        InvalidRequest: `invalid_prompt`: a `$` begins no place; `$$` is one sign.
    """
    template = Template(text)
    if not template.is_valid():
        raise InvalidRequest("A $ of the prompt begins no place for a value: write $$ for the sign.", code="invalid_prompt")
    return frozenset(template.get_identifiers())


def check_prompt(text: str, built_in: str, parts: Iterable[str] = ()) -> None:
    """Refuse a prompt that a capability could not be asked with in place of the one that is built in: each place for a value
    has to be there, and no other one; the line that divides the system's part from the user's has to be there where it was.

    Raises:
        InvalidRequest: `invalid_prompt`
    """
    if not text.strip():
        raise InvalidRequest("The prompt is empty.", code="invalid_prompt", param="text")
    needed, given = places_of(built_in), places_of(text)
    if missing := sorted(needed - given):
        raise InvalidRequest(f"The prompt has no place for ${missing[0]}.", code="invalid_prompt", param="text")
    if unknown := sorted(given - needed):
        raise InvalidRequest(f"Nothing is put in the place ${unknown[0][:64]}.", code="invalid_prompt", param="text")
    for divider in parts:
        if built_in.count(divider) != text.count(divider):
            raise InvalidRequest(
                "A line of three dashes divides the part for the system from the part for the user: there has to be one.",
                code="invalid_prompt",
                param="text",
            )
