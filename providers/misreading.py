"""Where a provider's answer is made ours: whatever goes wrong there is the answer's, which cannot be read.

A model's translation knows most of it (`providers.neutral.translating`). What it lets through would else be taken for a mistake
of the platform's, and keep a request from deployments that are well.
"""

import traceback
from collections.abc import Callable
from typing import Any

import structlog

from providers.failures import known
from providers.neutral import unreadable

log = structlog.get_logger()


def answers_own(error: Exception, prepare: Callable[[], object] | None) -> Exception:
    """What an error counts as that was raised while an answer was asked for and read: itself where it is known.

    `prepare` builds the request alone: where that fails as well, the error is none of the answer's, and what it raises is
    raised. None where a part of the answer has been read before.
    """
    if known(error) is not None:
        return error
    if prepare is not None:
        prepare()
    place = traceback.extract_tb(error.__traceback__)[-1]
    log.warning("provider.misread", error=type(error).__name__, at=f"{place.filename}:{place.lineno}")
    misread: Any = unreadable()
    misread.__cause__ = error
    return misread  # type: ignore[no-any-return] # an exception
