"""Services that notices go to through Apprise: chat, paging and mail.

Apprise makes its own connections, which nothing of ours holds to addresses. So it gets no address from a caller: the services
are a closed set whose hosts Apprise itself knows, options that name files or other addresses are refused, redirects are not
followed, and mail goes to servers that the operator names.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl

from core.errors import InvalidRequest
from core.settings import Settings
from core.transport.plaintext import may_be_plain

#: Apprise's schemas, by its module that speaks to the service; each looked through: the host is not the caller's to give.
_FIXED: Mapping[str, str] = {
    "slack": "slack",
    "pagerduty": "pagerduty",
    "opsgenie": "opsgenie",
    "discord": "discord",
    "tgram": "telegram",
    "wxteams": "webexteams",
    "splunk": "splunk",
    "victorops": "splunk",
    "pover": "pushover",
    "sendgrid": "sendgrid",
    "mailgun": "mailgun",
    "postmark": "postmark",
}
#: Teams: its addresses are Microsoft's, each installation's own.
_TEAMS: Final = ("workflows", "workflow")
_TEAMS_HOSTS: Final = (".logic.azure.com", ".powerplatform.com")
_MAIL: Final = ("mailtos", "mailto")
_MAIL_PORTS: Final = (25, 465, 587, 2525)
SCHEMES: Final = (*_FIXED, *_TEAMS, *_MAIL)
#: Of an address's options these alone: others name templates, keys and images by file or address.
_OPTIONS: Final = frozenset({"region", "priority", "smtp", "from", "to", "name", "user", "pass", "ver"})
_LONGEST: Final = 2000


def check_service(url: str, settings: Settings) -> str:
    """What may be shown of the address of a service: its schema, for mail the server too.

    Raises:
        InvalidRequest: `invalid_alert_route`: no service that notices may go to, or not as Apprise writes it.
    """
    plugin = _plugin(url, settings)
    scheme = url.partition("://")[0].lower()
    return f"{scheme}://{plugin.smtp_host}/…" if scheme in _MAIL else f"{scheme}://…"


def notify(url: str, title: str, text: str, settings: Settings, *, bad: bool) -> bool:
    """Send a notice. Whether the service took it. Blocks for twice `alerts.timeout_s` at most.

    Raises:
        InvalidRequest: as `check_service`: the settings have changed meanwhile.
    """
    plugin = _plugin(url, settings)
    plugin.socket_connect_timeout = plugin.socket_read_timeout = settings.alerts.timeout_s
    return bool(plugin.notify(body=text, title=title, notify_type="failure" if bad else "success"))


def _plugin(url: str, settings: Settings) -> Any:
    scheme, separator, _ = url.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in SCHEMES or len(url) > _LONGEST:
        raise _refused(f"Notices go to webhooks and to {', '.join(SCHEMES)}.")
    # Apprise finds options behind a fragment, too
    given = {name.lower() for name, _ in parse_qsl(url.partition("?")[2].replace("?", "&"), keep_blank_values=True)}
    if unknown := given - _OPTIONS:
        raise _refused(f"An option is not taken here: {', '.join(sorted(_names(unknown)))}.")
    plugin = _made(url)
    module = type(plugin).__module__.removeprefix("apprise.plugins.")
    if scheme in _FIXED:
        well = module == _FIXED[scheme]
    elif scheme in _TEAMS:
        well = module == "workflows" and str(plugin.host).lower().endswith(_TEAMS_HOSTS) and plugin.port in (None, 443)
    else:
        well = module.startswith("email") and _is_mail_host(plugin, settings)
    if not well or getattr(plugin, "template", None):
        raise _refused("It names a host that notices may not be sent to." + (_MAIL_HINT if scheme in _MAIL else ""))
    plugin.verify_certificate = True
    return plugin


_MAIL_HINT: Final = " The operator names mail servers in GENAI_ALERTS__MAIL_HOSTS."


def _is_mail_host(plugin: Any, settings: Settings) -> bool:
    host = str(plugin.smtp_host).lower()
    encrypted = str(plugin.secure_mode) != "insecure"
    hosts = {each.lower() for each in settings.alerts.mail_hosts}
    named = (host in hosts and plugin.port in _MAIL_PORTS) or f"{host}:{plugin.port}" in hosts
    return named and (encrypted or may_be_plain(host, settings.tls))


def _made(url: str) -> Any:
    import apprise  # it takes half a second

    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)  # its lines can show parts of an address
    asset = apprise.AppriseAsset(http_redirects=False, secure_logging=True, app_id="GenAI", app_desc="GenAI Platform")
    try:
        plugin = apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
    except Exception as error:
        raise _refused("It is not as Apprise writes it.") from error
    if plugin is None:
        raise _refused("It is not as Apprise writes it.")
    return plugin


def _names(given: Sequence[str] | set[str]) -> list[str]:
    return [name if name.isascii() and name.isidentifier() and len(name) < 20 else "…" for name in given]


def _refused(reason: str) -> InvalidRequest:
    return InvalidRequest(f"The address cannot be used. {reason}", code="invalid_alert_route", param="url")
