"""Services that notices go to through Apprise: a closed set, whose hosts no caller chooses."""

from pathlib import Path

import pytest

from core.alerts.services import SCHEMES, check_service
from core.errors import InvalidRequest
from core.settings import Settings

SLACK = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
TEAMS = f"workflows://prod-15.uksouth.logic.azure.com:443/{'a' * 32}/{'b' * 43}"
MAIL = "mailtos://user:word@example.com?smtp=smtp.example.com&to=ops@example.com"
GOOD = {
    SLACK: "slack://…",
    f"pagerduty://{'A' * 32}@{'k' * 32}": "pagerduty://…",
    f"opsgenie://{'a' * 32}": "opsgenie://…",
    "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js": "discord://…",
    TEAMS: "workflows://…",
    MAIL: "mailtos://smtp.example.com/…",
}
REFUSED = (
    "json://127.0.0.1/",
    "jsons://example.com/",
    "xml://127.0.0.1/",
    "form://127.0.0.1/",
    "apprise://127.0.0.1/token",
    "syslog://",
    "gotify://10.0.0.1/token",
    "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
    " json://127.0.0.1/",
    "slack:",
    "slack://",
    f"{SLACK},json://127.0.0.1",
    f"{SLACK}?template=/etc/passwd",
    f"{SLACK}/#?template=/etc/passwd",
    f"{SLACK}?to=a?template=/etc/passwd",
    f"{SLACK}?to=a;template=/etc/passwd",
    f"{SLACK}?verify=no",
    f"{SLACK}?rto=3600",
    f"workflows://127.0.0.1:443/{'a' * 32}/{'b' * 43}",
    f"workflows://x.logic.azure.com@127.0.0.1/{'a' * 32}/{'b' * 43}",
    f"workflows://x.logic.azure.com:6379/{'a' * 32}/{'b' * 43}",
    MAIL.replace("smtp.example.com", "10.0.0.1"),
    MAIL.replace("mailtos", "mailto"),
    f"{MAIL}&mode=insecure",
    f"{MAIL}&pgp=yes",
    "mailtos://user:word@smtp.example.com:6379?to=ops@example.com",
    f"slack://{'a' * 3000}",
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load(data_dir=tmp_path, alerts={"mail_hosts": ["smtp.example.com"]})


@pytest.mark.parametrize("number", range(len(GOOD)))
def test_a_service_is_taken_and_shown_without_its_secrets(settings: Settings, number: int) -> None:
    url = list(GOOD)[number]
    assert check_service(url, settings) == GOOD[url]


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_what_could_reach_anywhere_else_is_refused(settings: Settings, number: int) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_service(REFUSED[number], settings)
    assert refused.value.code == "invalid_alert_route"
    for secret in ("TIiajkdnlazkcOXrIdevi7FQ", "word", "passwd"):
        assert secret not in refused.value.message


def test_mail_goes_to_no_server_that_the_operator_has_not_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="GENAI_ALERTS__MAIL_HOSTS"):
        check_service(MAIL, Settings.load(data_dir=tmp_path))


def test_no_service_takes_an_address_of_its_own() -> None:
    assert not {"json", "jsons", "xml", "xmls", "form", "forms", "apprise", "apprises", "syslog", "dbus"} & set(SCHEMES)
