"""The settings of what travels over a network: `[tls]` and `[proxies]`."""

from pathlib import Path
from typing import Literal

from pydantic import Field, IPvAnyNetwork, SecretStr, model_validator

from core.sections import Section


class TLSSettings(Section):
    """The platform's own certificate, and what it asks of the servers that it calls."""

    certificate_file: Path | None = Field(
        None, description="PEM file: the certificate, then those between it and its authority; empty: no TLS here"
    )
    key_file: Path | None = Field(None, description="PEM file with its private key, read again with the certificate")
    key: SecretStr | None = Field(None, description="the private key itself, or a reference to it, instead of key_file")
    key_password: SecretStr | None = Field(None, description="what the private key is encrypted with, where it is")
    minimum_version: Literal["1.2", "1.3"] = Field("1.2", description="the oldest version of TLS that is spoken")
    client_ca_file: Path | None = Field(
        None, description="PEM file: only callers with a certificate of these authorities may connect; empty: all may"
    )
    reload_s: float = Field(30, gt=0, description="seconds after which the files are looked at again; SIGHUP does it at once")
    hsts_s: int = Field(
        31_536_000, ge=0, description="seconds that browsers keep to https once they have seen it; 0 does not tell them"
    )
    ca_file: Path | None = Field(
        None, description="PEM file: authorities to trust beside the system's, for every call that the platform makes"
    )
    allow_plaintext: bool | tuple[str, ...] = Field(
        (), description='hosts beyond this machine that may be spoken to without TLS, as JSON: ["db.internal"]; true: all'
    )

    @model_validator(mode="after")
    def _whole(self) -> "TLSSettings":
        given = [name for name in ("key_file", "key") if getattr(self, name) is not None]
        if self.certificate_file is None:
            alone = next((name for name in (*given, "client_ca_file") if getattr(self, name) is not None), None)
            if alone:
                raise ValueError(f"{alone} needs certificate_file beside it")
        elif len(given) != 1:
            raise ValueError("certificate_file needs key_file or key beside it, and one of them alone")
        return self

    @property
    def serves(self) -> bool:
        """Whether the platform itself speaks TLS."""
        return self.certificate_file is not None


class ProxySettings(Section):
    """The proxies in front of the platform that are believed when they say who a caller is."""

    trusted: tuple[IPvAnyNetwork, ...] = Field((), description='networks of the proxies, as JSON: ["10.1.0.0/16"]')
    header: Literal["x-forwarded", "forwarded"] = Field(
        "x-forwarded", description="x-forwarded: X-Forwarded-For, -Proto and -Host · forwarded: RFC 7239's one header"
    )
