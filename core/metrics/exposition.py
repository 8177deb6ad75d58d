"""The metrics of this process as a scraper reads them, for who shows the token."""

import hmac

from prometheus_client.exposition import choose_encoder

from core.errors import NotFound, Unauthenticated
from core.metrics.recorder import Recorder
from core.metrics.sources import Sources
from core.settings import MetricsSettings

PATH = "/metrics"


class Exposition:
    """What is counted and what is read, in Prometheus' text format or OpenMetrics."""

    def __init__(self, settings: MetricsSettings, recorder: Recorder, sources: Sources) -> None:
        self._token = settings.token.get_secret_value().encode() if settings.token is not None else None
        self.recorder, self.sources = recorder, sources
        recorder.registry.register(sources)

    def admit(self, authorization: str | None, *, alone: bool = False) -> None:
        """Let in who shows the token; on a listener for metrics `alone`, everybody where there is none.

        Raises:
            NotFound: there is no token, and so nothing here.
            Unauthenticated: `invalid_key`: it is not shown.
        """
        if self._token is None:
            if alone:
                return
            raise NotFound("There is nothing at this address.")
        kind, _, shown = (authorization or "").partition(" ")
        if kind.lower() != "bearer" or not hmac.compare_digest(shown.strip().encode(), self._token):
            raise Unauthenticated("Give the token of GENAI_METRICS__TOKEN: `Authorization: Bearer TOKEN`.", code="invalid_key")

    def render(self, accept: str | None = None) -> tuple[bytes, str]:
        """The text and its content type. Blocking, for as long as the sources have at most."""
        encode, content_type = choose_encoder(accept or "")
        return encode(self.recorder.registry), content_type
