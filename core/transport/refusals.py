"""Why a connection over TLS was not made, in words that hold no secret."""

import ssl
from collections.abc import Iterator

#: Errors that an error comes from are followed so far.
_DEEPEST = 10


def tls_refusal(error: BaseException) -> str | None:
    """What is wrong with the other side's certificate, or with the handshake; None where neither is what `error` comes from.
    Drivers raise errors of their own, which say less."""
    for each in _origins(error):
        if isinstance(each, ssl.SSLCertVerificationError):
            return each.verify_message
        if isinstance(each, ssl.SSLError):
            return each.reason or "TLS failed"
    return None


def _origins(error: BaseException) -> Iterator[BaseException]:
    waiting = [(error, 0)]
    while waiting:
        each, depth = waiting.pop()
        yield each
        if depth < _DEEPEST:
            among = (each.__cause__, each.__context__, *each.args)
            waiting += [(one, depth + 1) for one in among if isinstance(one, BaseException)]
