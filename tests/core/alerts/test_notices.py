"""What is said of an alert, and the signature that proves where it comes from."""

import hashlib
import hmac
import json
import re
from pathlib import Path
from typing import Any

import pytest

from core.alerts import AlertKind
from core.alerts.notices import RAISED, RECOVERED, encoded, notice, signature, text_of, title_of, trial_notice
from core.database import utc_now

ROOT = Path(__file__).parents[3]


def row(**more: Any) -> dict[str, Any]:
    told = {
        "id": "alert_1",
        "tenant": "acme",
        "platform": False,
        "kind": "budget_used",
        "severity": "warning",
        "state": "firing",
        "key": "bud_1:80%",
        "subject": {"budget": "bud_1"},
        "facts": {"budget": "bud_1", "share": 0.8, "tenant": "acme"},
        "count": 3,
        "first_seen": utc_now(),
        "last_seen": utc_now(),
        "resolved_at": None,
    }
    return told | more


def test_a_notice_is_json_and_a_text_for_people() -> None:
    body = notice(RAISED, row(), utc_now(), withheld=4)
    assert json.loads(encoded(body))["alert"]["subject"] == {"budget": "bud_1"}
    assert title_of(body) == "GenAI Platform: A budget is used"
    assert title_of(notice(RECOVERED, row(), utc_now())) == "GenAI Platform: over: A budget is used"
    assert text_of(body).splitlines()[0] == "budget_used (warning): bud_1:80%"
    assert "4 notices" in text_of(body)
    assert text_of(body).count("acme") == 1


@pytest.mark.parametrize("kind", sorted(AlertKind))
def test_every_kind_has_a_title(kind: AlertKind) -> None:
    assert title_of(notice(RAISED, row(kind=kind.value), utc_now())).startswith("GenAI Platform: ")


def test_a_trial_says_that_it_is_one() -> None:
    body = trial_notice("acme", utc_now(), platform=False)
    assert "test" in title_of(body)
    assert text_of(body)


def test_the_signature_is_an_hmac_over_the_time_and_the_body() -> None:
    expected = hmac.new(b"whsec_x", b'1700000000.{"a":1}', hashlib.sha256).hexdigest()
    assert signature("whsec_x", b'{"a":1}', 1700000000) == f"t=1700000000,v1={expected}"


def test_the_check_that_the_documentation_shows_takes_the_right_and_refuses_the_rest() -> None:
    (example,) = re.findall(r"```python\n(import hashlib.*?)```", (ROOT / "docs/alerts.md").read_text(), re.DOTALL)
    shown: dict[str, Any] = {}
    exec(example, shown)
    body, now = b'{"id":"notice_1"}', 1_700_000_000
    header = signature("whsec_x", body, now)
    assert shown["is_genuine"]("whsec_x", body, header, now + 10)
    assert not shown["is_genuine"]("whsec_x", body, header, now + 301), "a replay"
    assert not shown["is_genuine"]("whsec_x", body + b" ", header, now)
    assert not shown["is_genuine"]("whsec_y", body, header, now)
    assert not shown["is_genuine"]("whsec_x", body, "t=x,v1=y", now)
    assert not shown["is_genuine"]("whsec_x", body, "", now)
