"""Telling of trouble: an alert is raised as often as its cause is seen, and told once a window over all processes. How it is
meant: `docs/alerts.md`.

    raise_alert(AlertKind.PROVIDER_OUTAGE, key="openai/gpt-4o", provider="openai")     # anywhere, never blocks
    recover_alert(AlertKind.PROVIDER_OUTAGE, key="openai/gpt-4o")                      # it is over
"""

from core.alerts.alerts import Alert, Alerts, alerts, connect, raise_alert, recover_alert, write_to_log
from core.alerts.kinds import AlertKind, Severity

__all__ = ["Alert", "AlertKind", "Alerts", "Severity", "alerts", "connect", "raise_alert", "recover_alert", "write_to_log"]
