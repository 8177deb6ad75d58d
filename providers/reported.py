"""What a provider says that it used, where its whole answer becomes an error: the error carries it to whoever accounts for it.

A stream tells it in chunks, which are told before the error is raised. An answer that is refused, withheld or cannot be read
would keep it to itself, and the provider charges for it all the same.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration

from providers.tiers import TIER

_NAME = "reported_usage"


def report(error: BaseException, answer: ChatGeneration | None) -> None:
    """Have the error carry what the answer says that was used, and its tier; nothing of its words."""
    used = getattr(answer and answer.message, "usage_metadata", None)
    if answer is None or not used or _NAME in vars(error):
        return
    info = {name: value for name, value in (answer.generation_info or {}).items() if name == TIER}
    vars(error)[_NAME] = ChatGeneration(message=AIMessage("", usage_metadata=used), generation_info=info or None)


def reported(error: BaseException | None) -> ChatGeneration | None:
    """What the error carries, or one that it was made of."""
    while error is not None:
        if (found := vars(error).get(_NAME)) is not None:
            return found  # type: ignore[no-any-return] # set above
        error = error.__cause__
    return None


@contextmanager
def reporting(answer: Callable[[], ChatGeneration | None]) -> Iterator[None]:
    """Whatever is raised in the block carries what `answer()` says, which is asked only then."""
    try:
        yield
    except BaseException as error:
        report(error, answer())
        raise
