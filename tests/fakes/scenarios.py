"""What may go wrong at the first deployment, and what a caller has to see of it: one table for every way in.

Each scenario is played against an alias whose first deployment falls ill and whose others are well, and against one that has
no other. `Scenario.play` scripts the fakes; the test calls and compares with what the scenario says.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from tests.fakes.wire import Break, Fake, Fault, Reply, Step

#: Long enough that a stream can break in many places, with words outside of ASCII and spaces that must not get lost.
ANSWER = Reply(text="Grüße  aus Oslo: it is 3 degrees,\nand the snow 🌨 lies a metre deep.", output_tokens=17)


@dataclass(frozen=True)
class Scenario:
    """`steps`: what the first deployment does, request by request; then `forever`, over and over; then it answers.

    others: what the other deployments do first.
    whole: with others that are well, a caller of `invoke` gets the whole answer; else one of the codes in `alone`.
    told: the fault comes after text has been sent, so a stream may also end with an explicit error, `stream_interrupted`.
    alone: the codes of the error where there is no other deployment; empty: the whole answer.
    """

    name: str
    steps: tuple[Step, ...] = ()
    forever: tuple[Step, ...] = ()
    others: tuple[Step, ...] = ()
    whole: bool = True
    told: bool = False
    alone: frozenset[str] = frozenset({"provider_failed"})

    def play(self, first: Fake, others: Iterable[Fake] = (), reply: Reply = ANSWER) -> None:
        """Script the fakes, from a clean start; wherever they answer, they answer `reply`."""
        first.clear()
        first.then(*(_with(step, reply) for step in self.steps))
        first.always(*(_with(step, reply) for step in self.forever or (reply,)))
        for other in others:
            other.clear()
            other.then(*(_with(step, reply) for step in self.others)).always(reply)

    @property
    def stream_codes(self) -> frozenset[str]:
        """The codes that a stream may end with where other deployments are well; empty: it has to be whole."""
        if not self.whole:
            return self.alone
        return frozenset({"stream_interrupted"}) if self.told else frozenset()


_WITHIN = frozenset(
    {
        *(Fault.CUT, Fault.STALLED, Fault.HOLLOW, Fault.MALFORMED, Fault.UNTERMINATED, Fault.LATE_ERROR),
        *(Fault.BROKEN, Fault.PREFILL),
    }
)


def _with(step: Step, reply: Reply) -> Step:
    """A step that answers with `reply`, wherever it does not say something of its own."""
    if isinstance(step, Fault) and step in _WITHIN:
        return Break(Fault(step), -1, reply)
    if isinstance(step, Reply) and step.text == Reply().text:
        return Reply(
            reply.text, reply.calls, reply.input_tokens, reply.output_tokens, reply.finish, step.first_token_s, step.between_s
        )
    return step


_RATE = frozenset({"rate_limited"})
_TIMEOUT = frozenset({"provider_failed", "deadline_exceeded"})
_BROKEN = frozenset({"provider_failed", "stream_interrupted"})

SCENARIOS: tuple[Scenario, ...] = (
    Scenario("429-with-retry-after", forever=(Fault.RATE,), alone=_RATE),
    Scenario("429-without-retry-after", forever=(Fault.RATE_BARE,), alone=_RATE),
    Scenario("500-once", steps=(Fault.SERVER,), alone=frozenset()),
    Scenario("503-always", forever=(Fault.UNAVAILABLE,)),
    Scenario("502-of-a-gateway", forever=(Fault.GATEWAY,)),
    Scenario("reset", forever=(Fault.RESET,)),
    Scenario("no-response", forever=(Fault.SILENT,), alone=_TIMEOUT),
    Scenario("no-first-token", forever=(Fault.SLOW,), alone=_TIMEOUT),
    Scenario("empty-chunks", forever=(Fault.EMPTY,), alone=_TIMEOUT),
    Scenario("late-first-token-within-limits", forever=(Reply(first_token_s=0.05),), alone=frozenset()),
    Scenario("cut", forever=(Fault.CUT,), told=True, alone=_BROKEN),
    Scenario("stalled", forever=(Fault.STALLED,), told=True, alone=_BROKEN | _TIMEOUT),
    Scenario("empty-chunks-halfway", forever=(Fault.HOLLOW,), told=True, alone=_BROKEN | _TIMEOUT),
    Scenario("malformed", forever=(Fault.MALFORMED,), told=True, alone=_BROKEN),
    Scenario("unterminated", forever=(Fault.UNTERMINATED,), told=True, alone=_BROKEN),
    Scenario("error-in-the-stream", forever=(Fault.LATE_ERROR,), told=True, alone=_BROKEN | _RATE),
    Scenario("broken-by-its-own-word", forever=(Fault.BROKEN,), told=True, alone=_BROKEN),
    Scenario("context-too-long", forever=(Fault.TOO_LONG,), alone=frozenset({"context_length_exceeded"})),
    Scenario("content-policy", forever=(Fault.REFUSED,), whole=False, alone=frozenset({"content_refused"})),
    Scenario("answer-withheld", forever=(Fault.BLOCKED,), whole=False, alone=frozenset({"content_refused"})),
    Scenario(
        "prefill-refused", steps=(Fault.CUT,), forever=(Fault.PREFILL,), others=(Fault.PREFILL,), told=True, alone=_BROKEN
    ),
    Scenario("flapping", forever=(Fault.UNAVAILABLE, Reply()), alone=frozenset()),
    Scenario("key-revoked", forever=(Fault.CREDENTIAL,)),
    Scenario("forbidden", forever=(Fault.FORBIDDEN,)),
    Scenario("model-gone", forever=(Fault.MISSING,)),
)
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}


def cuts(fake: Fake, reply: Reply = ANSWER) -> list[Break]:
    """A cut after every chunk of a stream, from none to all but the final marker."""
    return [Break(Fault.CUT, after, reply) for after in range(fake.length(reply))]
