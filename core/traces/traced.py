"""The traces of a process, from its start to its end: for the server and for workers alike."""

from collections.abc import Iterator
from contextlib import contextmanager

from core import otlp
from core.settings import Settings
from core.traces import seam


@contextmanager
def traced(settings: Settings) -> Iterator[None]:
    """Record for the block, where the variables say where to. Before engines and clients are made. Blocking at begin and end.

    Raises:
        SettingsError: traces cannot be sent to where they say.
    """
    if otlp.endpoint(otlp.Signal.TRACES) is None:
        yield
        return
    from core.traces.sending import Tracing  # OpenTelemetry's SDK

    tracing = Tracing(settings)
    seam.connect(tracing)
    try:
        yield
    finally:
        seam.connect(None)
        tracing.close()
