"""Where the platform tells what happens. Cheap to import: what counts is loaded where it is connected."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.context import CacheUse
    from core.ledger.entries import Entry
    from core.metrics.recorder import Recorder


@dataclass(frozen=True, slots=True)
class Answer:
    """A request that was answered, or whose caller left. Times are in seconds.

    `capability` is the one that was asked for, empty for what is none; `door` is a name of `server.doors`. `error` is the
    stable code of what went wrong, with the status that it stands for: a stream that began well and broke off has status 200
    and an error. `first_s` is None where the answer came whole, `overhead_s` where no provider was called.
    """

    door: str
    capability: str
    status: int
    seconds: float
    first_s: float | None = None
    overhead_s: float | None = None
    error: str | None = None
    error_status: int | None = None


_recorder: "Recorder | None" = None


def connect(recorder: "Recorder | None") -> None:
    """Let this process count into a recorder; None: count nothing."""
    global _recorder
    _recorder = recorder


def are_counted() -> bool:
    """Whether there is any use in putting an `Answer` together."""
    return _recorder is not None


def began() -> None:
    """A request is being answered; exactly one `answered` follows."""
    if _recorder is not None:
        _recorder.began()


def answered(answer: Answer) -> None:
    """A request has been answered."""
    if _recorder is not None:
        _recorder.answered(answer)


def called(entry: "Entry") -> None:
    """A provider was called, or the response cache answered in its place."""
    if _recorder is not None:
        _recorder.called(entry)


def not_kept(alias: str, use: "CacheUse") -> None:
    """The response cache had no answer (`miss`), or was not asked (`bypass`)."""
    if _recorder is not None:
        _recorder.not_kept(alias, use)


def reconciled(store: str, found: str, chunks: int) -> None:
    """A collection's store (`vectors`, `words`) was put right: chunks that were `missing`, or `orphans`."""
    if _recorder is not None and chunks:
        _recorder.reconciled(store, found, chunks)


def job_ended(kind: str, outcome: str, *, waited_s: float, ran_s: float) -> None:
    """A job has ended, and its end is committed."""
    if _recorder is not None:
        _recorder.job_ended(kind, outcome, waited_s=waited_s, ran_s=ran_s)
