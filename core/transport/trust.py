"""Whose certificates the platform believes when it calls others: the system's authorities, and those of `tls.ca_file`.

The libraries that call (httpx, boto, requests, libpq, gRPC, drivers of object stores) take authorities as a file, most of them
from a variable of the environment alone. So the system's and the operator's go into one file, and the variables name it: no
library, nor one that a plugin brings, can be forgotten then.
"""

import ssl
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from core.settings import SettingsError, set_variables, setting_name, usual_variable

#: Python and OpenSSL, requests, boto, gRPC.
_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH")
#: Where Debian, Red Hat and Alpine keep the system's authorities, after what OpenSSL was built for.
_SYSTEM = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
_FILE = "trusted.pem"


def trust_configured(given: Mapping[str, Any]) -> None:
    """Trust `tls.ca_file` of what is given for the settings, where it is: before a secret is fetched from a service that has a
    certificate of it. Holds for the process and may be repeated.

    Raises:
        SettingsError: the file cannot be read or holds no certificate, or the data directory cannot be written.
    """
    tls = given.get("tls")
    named = tls.get("ca_file") if isinstance(tls, Mapping) else getattr(tls, "ca_file", None)
    if named:
        trust(Path(named).expanduser(), Path(given.get("data_dir") or "data").expanduser().resolve())


def trust(ca_file: Path, directory: Path) -> None:
    """Believe the authorities in `ca_file` beside the system's, in this process and those that it starts. The file with all of
    them is made in `directory`."""
    own, whole = _read(ca_file), directory / _FILE
    before = usual_variable("SSL_CERT_FILE")
    system = Path(_system_file() if before in (None, str(whole)) else str(before))
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=directory, prefix=f"{_FILE}.", delete=False) as made:
            made.write(system.read_bytes().rstrip() + b"\n" + own)
        Path(made.name).replace(whole)
    except OSError as error:
        raise _unusable("data_dir", f"{whole} cannot be made: {error.strerror}") from error
    set_variables(dict.fromkeys(_VARIABLES, str(whole)))


def trusted_file() -> str:
    """The PEM file with the authorities that are trusted."""
    return usual_variable("SSL_CERT_FILE") or _system_file()


def _system_file() -> str:
    found = ssl.get_default_verify_paths().openssl_cafile
    for path in (found, *_SYSTEM):
        if Path(path).is_file():
            return path
    import certifi

    return str(certifi.where())


def outward_context() -> ssl.SSLContext:
    """What a client verifies a server by. One for the process: reading the authorities takes 10 ms."""
    return _context(trusted_file())


@lru_cache(maxsize=4)
def _context(authorities: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=authorities)
    context.set_alpn_protocols(["http/1.1"])
    return context


def _read(ca_file: Path) -> bytes:
    try:
        content = ca_file.read_bytes()
    except OSError as error:
        raise _unusable("ca_file", f"{ca_file} cannot be read: {error.strerror}") from error
    try:  # comments between certificates may be of any language
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=content.decode("ascii", "ignore") or "none")
    except ssl.SSLError as error:
        raise _unusable("ca_file", f"{ca_file} holds no certificates in PEM form") from error
    return content


def _unusable(name: str, why: str) -> SettingsError:
    place = (name,) if name == "data_dir" else ("tls", name)
    return SettingsError(f"These settings cannot be used:\n  {setting_name(place)}: {why}")
