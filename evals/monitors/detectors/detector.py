"""Tells when a series is no longer what it was: steps and ramps by cumulative sums of what is left once the usual course of the
day is taken away, spikes by how far out a value is."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from statistics import fmean, median
from typing import Any, Final

from evals.monitors.detectors.changes import Change, ChangeKind
from evals.monitors.detectors.profile import Profile
from evals.monitors.detectors.scale import Scale
from evals.monitors.detectors.tuning import Tuning

#: Values that the level stands on while there is no profile, and the last ones of them, which it does without.
_TRAIL: Final = 90
_TRAIL_LEAST: Final = 60
_LAST: Final = 10
#: Values whose course tells a ramp from a step.
_COURSE: Final = 180
#: The last values, which tell what a change has ended in.
_BACK: Final = 20
#: Points after which it is looked again whether a step has gone on, and by how much it has to.
_GROWN: Final = 100
_GROWTH: Final = 0.8
#: From so many calls behind a value on, more do not make it surer.
SURE: Final = 25


@dataclass(slots=True)
class _Open:
    """A change that is not over. `level` is what was usual, where no profile says it; `back` the sum of what speaks for its
    being back, and against its being `far` from there."""

    since: float
    before: float
    far: float
    level: float | None
    ramp: bool
    back: float = 0.0
    points: int = 0


class Detector:
    """For one series whose values come in the order of time. `update` costs some 20 microseconds."""

    def __init__(self, tuning: Tuning = Tuning()) -> None:  # noqa: B008 - a value
        self._tuning = tuning
        self._profile = Profile(tuning)
        self._scale = Scale(tuning)
        self._trail: deque[float] = deque(maxlen=_TRAIL)
        #: What is left of the last values, with its time and in standard deviations.
        self._course: deque[tuple[float, float]] = deque(maxlen=_COURSE)
        self._left: deque[float] = deque(maxlen=_COURSE)
        self._up = self._down = 0.0
        self._up_since = self._down_since = 0.0
        self._spiking = 0
        self._young = True
        self._open: _Open | None = None

    @classmethod
    def of(cls, state: Mapping[str, Any], tuning: Tuning = Tuning()) -> "Detector":  # noqa: B008 - as above
        """The detector that had this `state`."""
        detector = cls(tuning)
        detector._profile.restore(state["profile"])
        detector._scale.restore(state["scale"])
        detector._trail.extend(state["trail"])
        detector._course.extend((float(at), float(size)) for at, size in state["course"])
        detector._left.extend(state["left"])
        detector._up, detector._down, detector._up_since, detector._down_since = state["sums"]
        detector._spiking, detector._young = state["spiking"], state["young"]
        detector._open = None if state["open"] is None else _Open(**state["open"])
        return detector

    def state(self) -> dict[str, Any]:
        """All that it remembers, as JSON takes it: some kilobytes, however long the series."""
        return {
            "profile": self._profile.state(),
            "scale": self._scale.state(),
            "trail": [float(f"{value:.6g}") for value in self._trail],
            "course": [[at, round(size, 3)] for at, size in self._course],
            "left": [float(f"{value:.5g}") for value in self._left],
            "sums": [self._up, self._down, self._up_since, self._down_since],
            "spiking": self._spiking,
            "young": self._young,
            "open": None if self._open is None else asdict(self._open),
        }

    def update(self, at: float, value: float, calls: int = SURE) -> list[Change]:
        """What this value says. `at` is in seconds since 1970; `calls` are those that the value is the mean of."""
        expected = self._expected(at)
        sigma = self._scale.sigma
        self._trail.append(value)
        if expected is None:  # nothing is known yet
            self._profile.learn(at, value)
            return []
        lower, upper = expected
        middle = (lower + upper) / 2
        surer = sqrt(min(calls, SURE) / SURE)
        left = value - min(max(value, lower), upper)
        if sigma is None:
            self._scale.learn((value - middle) * surer)
            self._profile.learn(at, value)
            return []
        size = left * surer / sigma
        self._course.append((at, size))
        self._left.append(value - middle)
        if self._open is not None:
            return self._while_open(at, size, self._open)
        changes = self._summed(at, size, middle)
        if not changes:
            changes = self._stands_out(at, value, size, middle)
            self._scale.learn((value - middle) * surer)
            self._profile.learn(at, value)
        return changes

    def usual(self, at: float) -> float | None:
        """What the profile of the day has for that time; None while there is none."""
        known = self._profile.expected(at)
        return None if known is None else sum(known) / 2

    def _expected(self, at: float) -> tuple[float, float] | None:
        """The least and the most that is usual: by the profile; without one, by the last values."""
        if self._open is not None and self._open.level is not None:
            return self._open.level, self._open.level
        known = self._profile.expected(at)
        young = known is None
        if young != self._young and self._open is None:
            self._young = young
            self._reset()
        if known is not None:
            return known
        if self._open is not None:
            return self._open.before, self._open.before
        if len(self._trail) < _TRAIL_LEAST:
            return None
        level = self._tuning.centre(list(self._trail)[:-_LAST])
        return level, level

    def _summed(self, at: float, size: float, middle: float) -> list[Change]:
        tuning = self._tuning
        slack, limit = (tuning.young_slack, tuning.young_limit) if self._young else (tuning.slack, tuning.limit)
        step = max(-tuning.clip, min(tuning.clip, size)) / self._scale.dependence
        if self._up == 0.0:
            self._up_since = at
        if self._down == 0.0:
            self._down_since = at
        self._up = max(0.0, self._up + step - slack)
        self._down = max(0.0, self._down - step - slack)
        if max(self._up, self._down) < limit:
            return []
        since = self._up_since if self._up >= limit else self._down_since
        recent = [(when, each) for when, each in self._course if when >= since]
        course = [each for _, each in recent]
        begin = _begin(course)
        kind = ChangeKind.RAMP if _rises(course, begin) else ChangeKind.STEP
        if kind is ChangeKind.STEP:
            since, course = recent[begin][0], course[begin:]
        sizes = course[-len(course) // 3 :] if kind is ChangeKind.RAMP else course
        after = middle + self._tuning.centre(list(self._left)[-len(sizes) :])
        self._profile.forget_since(since)
        far = self._tuning.centre(sizes)
        self._open = _Open(since, middle, far, middle if self._young else None, kind is ChangeKind.RAMP)
        return [Change(kind, at, since, middle, after, far)]

    def _stands_out(self, at: float, value: float, size: float, middle: float) -> list[Change]:
        """A spike is told once, however many points it has."""
        out = abs(size) >= self._scale.spike
        told = self._spiking > 0
        self._spiking = 5 if out else max(0, self._spiking - 1)
        return [Change(ChangeKind.SPIKE, at, at, middle, value, size)] if out and not told else []

    def _while_open(self, at: float, size: float, change: _Open) -> list[Change]:
        tuning = self._tuning
        sign = 1.0 if change.far > 0 else -1.0
        half = max(2 * tuning.slack, min(abs(change.far), tuning.clip)) / 2
        near = max(-tuning.clip, min(tuning.clip, half - sign * size)) / self._scale.dependence
        change.back = max(0.0, change.back + near)
        if change.back >= tuning.limit:
            return [self._ended(ChangeKind.BACK, at, change)]
        change.points += 1
        if change.points == _GROWN and not change.ramp:
            later = median([each for _, each in self._course][-_BACK:])
            if sign * (later - change.far) > _GROWTH:  # it goes on: no step, though it looked like one at first
                change.ramp = True
                after = change.before + self._tuning.centre(list(self._left)[-_BACK:])
                return [Change(ChangeKind.RAMP, at, change.since, change.before, after, later)]
        if at - change.since >= self._tuning.accept_s:
            self._profile.shift(self._tuning.centre(self._left))
            return [self._ended(ChangeKind.ACCEPTED, at, change)]
        return []

    def _ended(self, kind: ChangeKind, at: float, change: _Open) -> Change:
        last = list(self._left)[-_BACK:]
        sizes = [size for _, size in self._course][-_BACK:]
        if kind is ChangeKind.BACK:  # what the change has left there is no level
            self._trail = deque(list(self._trail)[-_BACK:], maxlen=_TRAIL)
        self._open = None
        self._reset()
        return Change(kind, at, change.since, change.before, change.before + self._tuning.centre(last), median(sizes))

    def _reset(self) -> None:
        self._up = self._down = 0.0
        self._spiking = 0


def _begin(course: Sequence[float]) -> int:
    """Where a step most likely begins: which makes the sum of what follows stand out most from noise around nothing."""
    best, begin, total = -1.0, 0, 0.0
    for number, size in enumerate(reversed(course), 1):
        total += size
        if total * total / number > best:
            best, begin = total * total / number, len(course) - number
    return begin


def _rises(course: Sequence[float], begin: int) -> bool:
    """Whether a line from nothing says better what came than a step that begins at `begin`."""
    if len(course) < _BACK:
        return False
    after = course[begin:]
    mean = fmean(after)
    squares = sum(place * place for place in range(1, len(course) + 1))
    slope = sum(place * size for place, size in enumerate(course, 1)) / squares
    step = sum(size * size for size in course[:begin]) + sum((size - mean) ** 2 for size in after)
    return sum((size - slope * place) ** 2 for place, size in enumerate(course, 1)) < step


__all__ = ["SURE", "Detector"]
