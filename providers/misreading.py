"""Where a provider's answer is made ours: whatever goes wrong there is the answer's, which cannot be read.

A model's translation knows most of it (`providers.neutral.translating`). What it lets through would else be taken for a mistake
of the platform's, and keep a request from deployments that are well.
"""

import traceback
from collections.abc import Callable
from typing import Any

import structlog

from providers.failures import understand
from providers.neutral import unreadable

log = structlog.get_logger()


def answers_own(error: Exception, prepare: Callable[[], object] | None) -> Exception:
    """What an error counts as that was raised while an answer was asked for and read: itself where it is known.

    `prepare` builds the request alone: where that fails as well, the error is none of the answer's, and given back as it is.
    None where a part of the answer has been read before.
    """
    if _is_known(error) or (prepare is not None and _fails(prepare)):
        return error
    place = traceback.extract_tb(error.__traceback__)[-1]
    log.warning("provider.misread", error=type(error).__name__, at=f"{place.filename}:{place.lineno}")
    misread: Any = unreadable()
    misread.__cause__ = error
    return misread  # type: ignore[no-any-return] # an exception


def _is_known(error: Exception) -> bool:
    try:
        understand(error)
    except Exception:  # noqa: BLE001 - it is raised again where it is unknown
        return False
    return True


def _fails(prepare: Callable[[], object]) -> bool:
    try:
        prepare()
    except Exception:  # noqa: BLE001 - the first error is the one that is told
        return True
    return False
