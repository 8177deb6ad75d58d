"""What leaves of a span."""

from collections.abc import Callable

import pytest

from core import traces
from core.settings import Settings
from core.traces.allowed import LONGEST
from core.traces.sending import Tracing
from tests.collector import Collector, Sent


def test_only_what_is_listed_leaves(tracing: Tracing, sent: Callable[[], list[Sent]]) -> None:
    with traces.joining("job", None) as span:
        assert span is not None
        span.set_attribute("url.full", "https://u:secret@h/?key=secret")
        span.set_attribute("gen_ai.input.messages", "secret")
        span.set_attribute("genai.alias", "a" * 2 * LONGEST)
        span.add_event("exception", {"exception.type": "ValueError", "exception.message": "secret"})
    (job,) = sent()
    assert job.attributes == {"genai.alias": "a" * LONGEST}
    assert job.events == [("exception", {"exception.type": "ValueError"})]


@pytest.mark.parametrize("captured", [True, False])
def test_content_leaves_where_the_operator_says_so(settings: Settings, collector: Collector, captured: bool) -> None:
    made = Tracing(Settings.load(data_dir=settings.data_dir, traces={"content": captured}))
    traces.connect(made)
    try:
        with traces.joining("job", None) as span:
            assert span is not None
            span.set_attribute("gen_ai.input.messages", "told")
    finally:
        traces.connect(None)
        made.close()
    assert collector.spans[0].attributes == ({"gen_ai.input.messages": "told"} if captured else {})
