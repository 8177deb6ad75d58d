"""The certificate that the platform is served by: read, held against its key and its time, made into a context to serve."""

import hashlib
import os
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING

from core.settings import SettingsError, setting_name
from core.transport.sections import TLSSettings

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
    from cryptography.x509 import Certificate

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


@dataclass(frozen=True, slots=True)
class ServerCertificate:
    """A certificate that is good now, and the context that serves it. `serial` and `ends_at` tell one from the next."""

    context: ssl.SSLContext
    serial: str
    ends_at: datetime
    digest: bytes


def read_certificate(tls: TLSSettings, now: datetime) -> ServerCertificate:
    """What the settings name, as it lies on the disk at this moment. Blocking, short.

    Raises:
        SettingsError: a file cannot be read, the key is not the certificate's or cannot be opened, or the certificate's time
            has not begun or is over; the message names the setting.
    """
    from cryptography.hazmat.primitives import serialization

    chain = _certificates(tls)
    key, own = _key(tls), chain[0]
    names = _key_setting(tls)
    if own.public_key() != key.public_key():
        raise _unusable(names, f"the private key is not that of the certificate in {tls.certificate_file}")
    if not own.not_valid_before_utc <= now <= own.not_valid_after_utc:
        when = (
            f"has expired on {own.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
            if now > own.not_valid_after_utc
            else f"begins to hold on {own.not_valid_before_utc:%Y-%m-%d %H:%M} UTC alone"
        )
        raise _unusable("certificate_file", f"the certificate in {tls.certificate_file} {when}")
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    together = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain)
    together += b"".join(each.public_bytes(encoding) for each in chain)
    context = _context(tls, together)
    return ServerCertificate(context, f"{own.serial_number:x}", own.not_valid_after_utc, hashlib.sha256(together).digest())


def on_disk(tls: TLSSettings) -> bytes:
    """A digest of the files that the settings name: it changes when one does, or cannot be read any more."""
    digest = hashlib.sha256()
    for path in (tls.certificate_file, tls.key_file, tls.client_ca_file):
        if path is not None:
            try:
                content = path.expanduser().read_bytes()
            except OSError as error:
                content = str(error.errno).encode()
            digest.update(len(content).to_bytes(8, "big") + content)
    return digest.digest()


def _certificates(tls: TLSSettings) -> Sequence["Certificate"]:
    from cryptography import x509

    content = _content(tls, "certificate_file")
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError as error:
        raise _unusable("certificate_file", f"{tls.certificate_file} holds no certificate in PEM form") from error


def _key_setting(tls: TLSSettings) -> str:
    return "key" if tls.key is not None else "key_file"


def _key(tls: TLSSettings) -> "PrivateKeyTypes":
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    setting = _key_setting(tls)
    content = tls.key.get_secret_value().encode() if tls.key is not None else _content(tls, "key_file")
    password = tls.key_password.get_secret_value().encode() if tls.key_password is not None else None
    try:
        return load_pem_private_key(content, password)
    except TypeError as error:
        why = "the private key is encrypted and needs one" if password is None else "the private key is not encrypted"
        raise _unusable("key_password", why) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        if password is not None:
            raise _unusable("key_password", "it does not open the private key, or that is no private key") from error
        raise _unusable(setting, "it is no private key in PEM form") from error


def _content(tls: TLSSettings, setting: str) -> bytes:
    path: Path = getattr(tls, setting)
    try:
        return path.expanduser().read_bytes()
    except OSError as error:
        raise _unusable(setting, f"{path} cannot be read: {error.strerror}") from error


def _context(tls: TLSSettings, key_and_chain: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[tls.minimum_version]
    context.set_alpn_protocols(["http/1.1"])
    try:
        _load(context, key_and_chain)
    except ssl.SSLError as error:  # a curve or a digest that OpenSSL does not take
        raise _unusable("certificate_file", f"OpenSSL does not take it: {error.reason}") from error
    if tls.client_ca_file is not None:
        try:
            context.load_verify_locations(cadata=_content(tls, "client_ca_file").decode("ascii"))
        except (ssl.SSLError, ValueError) as error:
            raise _unusable("client_ca_file", f"{tls.client_ca_file} holds no certificates in PEM form") from error
        context.verify_mode = ssl.CERT_REQUIRED
        # who takes up a session again shows no certificate, so nobody is given one to take up
        context.num_tickets = 0
        context.options |= ssl.OP_NO_TICKET
    return context


def _load(context: ssl.SSLContext, key_and_chain: bytes) -> None:
    """Python's `ssl` takes a key from a file alone: one in memory where the system has such, else one that is gone at once. It
    holds just what was checked, whatever happens to the files meanwhile."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
        try:
            os.write(descriptor, key_and_chain)
            context.load_cert_chain(f"/proc/self/fd/{descriptor}")
        finally:
            os.close(descriptor)
    else:
        with NamedTemporaryFile(prefix="genai-") as file:
            file.write(key_and_chain)
            file.flush()
            context.load_cert_chain(file.name)


def _unusable(name: str, why: str) -> SettingsError:
    return SettingsError(f"These settings cannot be used:\n  {setting_name(('tls', name))}: {why}")
