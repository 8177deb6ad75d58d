"""Many questions at once: p values that stay honest. What was not measured (None, NaN) asks nothing and stays None."""

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

P = float | None


def holm(values: Sequence[P]) -> list[P]:
    """Adjusted so that one false alarm among all of them is as rare as alpha says (Holm 1979), whatever they depend on."""
    return _adjusted(values, _step_down)


def benjamini_hochberg(values: Sequence[P]) -> list[P]:
    """Adjusted so that of all alarms the share of false ones is at most alpha (Benjamini and Hochberg 1995), where the
    questions are independent or lean the same way."""
    return _adjusted(values, _step_up)


def uncorrected(values: Sequence[P]) -> list[P]:
    """As they are: for a single question."""
    return _adjusted(values, lambda ordered: ordered)


CORRECTIONS: Final[Mapping[str, Callable[[Sequence[P]], list[P]]]] = MappingProxyType(
    {"holm": holm, "benjamini-hochberg": benjamini_hochberg, "none": uncorrected}
)


def _step_down(ordered: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.maximum.accumulate(ordered * np.arange(ordered.size, 0, -1))


def _step_up(ordered: NDArray[np.float64]) -> NDArray[np.float64]:
    scaled = ordered * ordered.size / np.arange(1, ordered.size + 1)
    return np.minimum.accumulate(scaled[::-1])[::-1]


def _adjusted(values: Sequence[P], method: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> list[P]:
    asked = [(place, value) for place, value in enumerate(values) if value is not None and not math.isnan(value)]
    given: list[P] = [None] * len(values)
    if asked:
        plain = np.array([value for _, value in asked])
        order = np.argsort(plain, kind="stable")
        for place, value in zip(order, np.minimum(method(plain[order]), 1.0), strict=True):
            given[asked[place][0]] = float(value)
    return given
