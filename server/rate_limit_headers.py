"""`RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10), and the headers that OpenAI's clients know."""

from collections.abc import Sequence

from core.context import Allowance

#: The draft's names of units that are not requests.
_UNITS = {"concurrent": ';qu="concurrent-requests"', "tokens": ';qu="tokens"'}


def rate_limit_headers(allowances: Sequence[Allowance]) -> dict[str, str]:
    """None where no rate limit was asked."""
    if not allowances:
        return {}
    headers = {
        "ratelimit-policy": ", ".join(map(_policy, allowances)),
        "ratelimit": ", ".join(f'"{each.unit}";r={each.left};t={each.wait_s}' for each in allowances),
    }
    for each in allowances:
        if each.window_s is not None:
            headers[f"x-ratelimit-limit-{each.unit}"] = str(each.limit)
            headers[f"x-ratelimit-remaining-{each.unit}"] = str(each.left)
            headers[f"x-ratelimit-reset-{each.unit}"] = f"{each.wait_s}s"
    return headers


def _policy(allowance: Allowance) -> str:
    window = "" if allowance.window_s is None else f";w={allowance.window_s}"
    return f'"{allowance.unit}";q={allowance.limit}{_UNITS.get(allowance.unit, "")}{window}'
