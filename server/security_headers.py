"""What every answer tells a browser that it must not do with it."""

import base64
import hashlib
import re
from functools import lru_cache

#: Of an answer that is data: a browser that is led to it shows it, and does nothing that it says.
DATA_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
#: Of our own pages: they load nothing from elsewhere, run no inline script and cannot be framed.
PAGE_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self'; script-src 'self'; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
#: What a page may ask a browser for; nothing here needs any of it.
_PERMISSIONS = ", ".join(
    f"{feature}=()"
    for feature in (
        "accelerometer",
        "browsing-topics",
        "camera",
        "display-capture",
        "geolocation",
        "gyroscope",
        "magnetometer",
        "microphone",
        "midi",
        "payment",
        "publickey-credentials-get",
        "screen-wake-lock",
        "serial",
        "usb",
    )
)
#: What goes with each answer that does not say otherwise itself.
ALWAYS: tuple[tuple[bytes, bytes], ...] = tuple(
    (name.encode(), value.encode())
    for name, value in (
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("content-security-policy", DATA_POLICY),
        ("x-frame-options", "DENY"),
        ("permissions-policy", _PERMISSIONS),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    )
)
_SCRIPT = re.compile(rb"<script>(.*?)</script>", re.DOTALL)
_STYLE = re.compile(rb"<style>(.*?)</style>", re.DOTALL)


def hsts(seconds: int) -> tuple[bytes, bytes]:
    """The header that keeps browsers to https for that long, on this host alone."""
    return b"strict-transport-security", f"max-age={seconds}".encode()


def page_policy(html: bytes, *, styles: bool = False, evaluates: bool = False) -> str:
    """The policy of a page that others made: its inline scripts and styles are named by their digests, and no other may be put
    in. `styles`: it sets styles of elements itself; `evaluates`: its scripts make functions from texts."""
    return _page_policy(
        tuple(_digest(found) for found in _SCRIPT.findall(html)),
        ("'unsafe-inline'",) if styles else tuple(_digest(found) for found in _STYLE.findall(html)),
        evaluates,
    )


@lru_cache(maxsize=64)
def _page_policy(scripts: tuple[str, ...], styles: tuple[str, ...], evaluates: bool) -> str:
    script = " ".join(("script-src 'self'", *scripts, *(["'unsafe-eval'"] if evaluates else [])))
    return PAGE_POLICY.replace("script-src 'self'", script).replace("style-src 'self'", " ".join(("style-src 'self'", *styles)))


def _digest(content: bytes) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content).digest()).decode()}'"
