"""Serving by a certificate that is renewed on the disk: new connections get the new one, those that are open keep theirs."""

import signal
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import structlog

from core.alerts import AlertKind, raise_alert, recover_alert
from core.settings import SettingsError, TLSSettings
from core.transport.certificate import on_disk, read_certificate

log = structlog.get_logger()

#: How long before its end a certificate that nobody has renewed is told of.
EXPIRES_SOON = timedelta(days=7)


class Certificates:
    """The certificate that is served now. `context` is the server's for as long as it listens.

    Each handshake takes the newest good one's context: loading another certificate into a context that is in use would leave
    the former beside it where their keys are of different kinds.
    """

    def __init__(self, tls: TLSSettings) -> None:
        """Raises SettingsError: there is no good certificate; the message names the setting."""
        self._tls = tls
        self._seen = on_disk(tls)
        self._refused = b""
        self._current = read_certificate(tls, _now())
        self.context = self._current.context
        # OpenSSL calls it in every handshake, whether the client names a server or not
        self.context.sni_callback = self._choose

    def _choose(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = self._current.context

    def look(self) -> None:
        """Take what lies on the disk where it has changed. What cannot be served is told as an alert, and the certificate that
        is served stays. Blocking, short."""
        found = on_disk(self._tls)
        if found != self._seen:
            try:
                renewed = read_certificate(self._tls, _now())
            except SettingsError as error:
                reason = str(error).rpartition("\n")[2].strip()
                if found != self._refused:  # the alert tells once what comes and goes
                    log.warning("certificate.refused", reason=reason, serving=self._current.serial)
                self._refused = found
                raise_alert(AlertKind.CERTIFICATE_UNUSABLE, key=self._key, reason=reason, serving=self._current.serial)
                return
            self._seen, self._current = found, renewed
            recover_alert(AlertKind.CERTIFICATE_EXPIRES, key=self._key)
            facts = {} if self._tls.client_ca_file is None else {"client_authorities": _authorities(renewed.context)}
            log.info("certificate.renewed", serial=renewed.serial, ends_at=renewed.ends_at.isoformat(), **facts)
        recover_alert(AlertKind.CERTIFICATE_UNUSABLE, key=self._key)
        if self._current.ends_at - _now() < EXPIRES_SOON:
            raise_alert(AlertKind.CERTIFICATE_EXPIRES, key=self._key, ends_at=self._current.ends_at.isoformat())

    @property
    def _key(self) -> str:
        return str(self._tls.certificate_file)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Look every `reload_s` seconds, and at SIGHUP, for as long as the block. To be entered in the main thread."""
        due, ended = threading.Event(), threading.Event()

        def watch() -> None:
            while True:
                due.wait(self._tls.reload_s)
                due.clear()
                if ended.is_set():
                    return
                try:
                    self.look()
                except Exception:  # the boundary of a thread: the next look may do better
                    log.exception("certificate.not_looked_at")

        before = signal.signal(signal.SIGHUP, lambda *_: due.set())
        watcher = threading.Thread(target=watch, name="certificates", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            due.set()
            watcher.join()
            signal.signal(signal.SIGHUP, before or signal.SIG_DFL)


def _authorities(context: ssl.SSLContext) -> list[str]:
    """The serial numbers of those whose callers may connect."""
    return sorted(str(authority["serialNumber"]).lower() for authority in context.get_ca_certs())


def _now() -> datetime:
    return datetime.now(UTC)
