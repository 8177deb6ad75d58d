"""Labelled series to judge detectors by: noise of several kinds, seasons of a day and a week, and in them steps, ramps and
spikes, of which is known when they begin. A seed gives the same series again."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["step", "ramp", "spike", "season", "noise"]
KINDS: tuple[Kind, ...] = ("step", "ramp", "spike", "season", "noise")
NOISES = ("normal", "log-normal", "heavy", "dependent")
DAY = 1440
_MONDAY = 1_767_571_200.0 + 7 * 86_400  # 2026-01-12, UTC
#: Points before the first change: a detector needs a week to know working days and weekends.
LEARNING = 8 * DAY
#: Points within which a step has to be found, and after which a ramp that is over has.
WITHIN = 150


@dataclass(frozen=True, slots=True)
class Event:
    """What was planted: from the point `begin` to `end`, of so many standard deviations."""

    kind: Kind
    begin: int
    end: int
    size: float


@dataclass(frozen=True, slots=True)
class Series:
    """A value a minute, from `start` on, in seconds since 1970. What a monitor would take the logarithm of is given as it."""

    kind: Kind
    noise: str
    seasonal: bool
    start: float
    values: NDArray[np.float64]
    events: tuple[Event, ...]


def suite(seed: int) -> Iterator[Series]:
    """The series of a seed: each kind in each noise, changes with and without a season under them."""
    for number, noise in enumerate(NOISES):
        for kind in KINDS:
            for seasonal in (kind == "season",) if kind in ("season", "noise") else (False, True):
                random = np.random.default_rng([seed, number, KINDS.index(kind), seasonal])
                yield _series(random, kind, noise, seasonal)


def _series(random: np.random.Generator, kind: Kind, noise: str, seasonal: bool) -> Series:
    days = 21 if kind in ("season", "noise") else 13
    length = days * DAY
    start = _MONDAY + 60.0 * int(random.integers(0, 7 * DAY))
    values = _noise(random, noise, length)
    if seasonal:
        values += _season(random, start, length)
    events = tuple(_events(random, kind, noise, length))
    for event in events:
        values[event.begin :] += _shape(event, length - event.begin)
    level = float(random.uniform(2, 8))
    return Series(kind, noise, seasonal, start, level + float(random.uniform(0.05, 0.5)) * values, events)


def _noise(random: np.random.Generator, noise: str, length: int) -> NDArray[np.float64]:
    """With a standard deviation of 1."""
    if noise == "log-normal":  # the mean of a minute's calls, each of them log-normal, as its logarithm
        calls = np.exp(random.normal(0, 0.6, (length, 8))).mean(axis=1)
        logs = np.log(calls)
        return np.asarray((logs - logs.mean()) / logs.std())
    if noise == "heavy":
        return np.asarray(random.standard_t(5, length) / np.sqrt(5 / 3))
    if noise == "dependent":
        steps, values, last = random.normal(0, np.sqrt(1 - 0.3**2), length), np.empty(length), 0.0
        for place, step in enumerate(steps):
            last = values[place] = 0.3 * last + step
        return values
    return np.asarray(random.normal(0, 1, length))


def _season(random: np.random.Generator, start: float, length: int) -> NDArray[np.float64]:
    """A day with a peak and a second one, of 1 to 3 standard deviations; another level at weekends; an hour of the night with
    a job in it."""
    at = start / 60 + np.arange(length)
    day = 2 * np.pi * (at % DAY) / DAY
    size, second, phase = random.uniform(1, 3), random.uniform(0, 0.5), random.uniform(0, 2 * np.pi)
    weekend = np.isin(((at // DAY) + 4) % 7, (0, 6))
    job = (at % DAY >= 120) & (at % DAY < 180)
    course = size * np.sin(day + phase) + size * second * np.sin(2 * day)
    return np.asarray(course - random.uniform(0, 1.5) * weekend + random.uniform(0, 1.5) * job)


def _events(random: np.random.Generator, kind: Kind, noise: str, length: int) -> Iterator[Event]:
    sign = random.choice([-1.0, 1.0])
    first = int(random.integers(LEARNING, 11 * DAY))
    if kind == "step":
        yield Event(kind, first, length, sign)
    elif kind == "ramp":
        yield Event(kind, first, first + int(random.integers(200, 600)), sign * float(random.uniform(2, 4)))
    elif kind == "spike":
        heavy = 2.5 if noise == "heavy" else 1.0  # such noise itself reaches 12 once in some thousands of points
        for place in range(first, length - 60, DAY // 2):
            begin = place + int(random.integers(0, 60))
            size = float(random.choice([-1.0, 1.0]) * random.uniform(10, 14)) * heavy
            yield Event(kind, begin, begin + int(random.integers(1, 4)), size)


def _shape(event: Event, length: int) -> Any:
    points = np.arange(length)
    if event.kind == "ramp":
        return event.size * np.clip((points + 1) / (event.end - event.begin), 0, 1)
    return event.size * (points < event.end - event.begin)
