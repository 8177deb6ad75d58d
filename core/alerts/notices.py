"""What is said of an alert, as JSON and in a sentence, and the signature that proves where it comes from."""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import orjson

from core.alerts.kinds import AlertKind

RAISED, RECOVERED, TEST = "alert.raised", "alert.recovered", "alert.test"
#: The header of a webhook: `t=SECONDS,v1=HEX`, an HMAC-SHA256 over `SECONDS.BODY`.
SIGNATURE: Final = "X-GenAI-Signature"
#: The header with the notice's identifier: the same again where a notice is sent again.
NOTICE: Final = "X-GenAI-Notice"

_TITLES: Mapping[AlertKind, str] = {
    AlertKind.BUDGET_USED: "A budget is used",
    AlertKind.BUDGET_FORECAST: "A budget will not last",
    AlertKind.SPEND_SPIKE: "Spending is far above the usual",
    AlertKind.UNPRICED_MODEL: "No price is known for a model",
    AlertKind.FALLBACK_PRICE: "Another price stands in for a model's",
    AlertKind.PROVIDER_OUTAGE: "A deployment does not answer",
    AlertKind.ALIAS_UNUSABLE: "No deployment of a model answers",
    AlertKind.AUTHENTICATION_FAILED: "A provider refuses its credential",
    AlertKind.MODEL_MISSING: "A provider does not have the model",
    AlertKind.ERROR_RATE: "Many calls of a deployment fail",
    AlertKind.LATENCY: "A deployment is slower than usual",
    AlertKind.DEGRADATION: "A deployment does worse than its own baseline",
    AlertKind.SAMPLE_RATIO: "Variants of an experiment have not the shares that they should have",
    AlertKind.DRIFT: "What is asked of a collection is no longer what it was",
    AlertKind.LEDGER_SPOOLING: "The ledger's rows wait in files",
    AlertKind.EMBEDDING_MISMATCH: "An embedding model gives other vectors",
    AlertKind.KEYS_UNAVAILABLE: "Keys of what is stored cannot be had",
    AlertKind.CERTIFICATE_UNUSABLE: "The new certificate cannot be used",
    AlertKind.CERTIFICATE_EXPIRES: "The certificate ends soon",
}


def notice(event: str, alert: Mapping[str, Any], now: datetime, *, withheld: int = 0) -> dict[str, Any]:
    """The body of a notice, from an alert's row. `withheld` notices were left out before it, since there were too many."""
    told = ("id", "kind", "severity", "state", "key", "subject", "facts", "count")
    times = ("first_seen", "last_seen", "resolved_at")
    return {
        "type": event,
        "at": now.isoformat(),
        "tenant": alert["tenant"],
        "platform": alert["platform"],
        "alert": {name: alert[name] for name in told}
        | {name: None if alert[name] is None else alert[name].isoformat() for name in times},
        "withheld": withheld,
    }


def trial_notice(tenant: str, now: datetime, *, platform: bool) -> dict[str, Any]:
    """The body of a notice that only shows that a route works."""
    return {"type": TEST, "at": now.isoformat(), "tenant": tenant, "platform": platform, "alert": None, "withheld": 0}


def title_of(body: Mapping[str, Any]) -> str:
    """A line for people."""
    alert = body["alert"]
    if alert is None:
        return "GenAI Platform: this is a test"
    title = _TITLES[AlertKind(alert["kind"])]
    return f"GenAI Platform: {'over: ' if body['type'] == RECOVERED else ''}{title}"


def text_of(body: Mapping[str, Any]) -> str:
    """The facts for people, a line each."""
    alert = body["alert"]
    if alert is None:
        return "Alerts of this platform will arrive here."
    facts = {name: value for name, value in alert["facts"].items() if name != "tenant"}
    lines = [
        f"{alert['kind']} ({alert['severity']}): {alert['key']}",
        *(f"{name}: {value}" for name, value in facts.items()),
        f"tenant: {body['tenant']}",
        f"seen {alert['count']} times since {alert['first_seen']}",
    ]
    if body["withheld"]:
        lines.append(f"{body['withheld']} notices before this one were left out: there were too many")
    return "\n".join(lines)


def encoded(body: Mapping[str, Any]) -> bytes:
    """The bytes that are sent, and signed."""
    return orjson.dumps(body)


def signature(secret: str, body: bytes, timestamp: int) -> str:
    """The value of the header `SIGNATURE` for a body that is sent at `timestamp`, in seconds since 1970."""
    digest = hmac.new(secret.encode(), b"%d." % timestamp + body, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={digest}"
