"""Online detectors: one value after the other in, what has changed out. What they remember is bounded, and JSON.

detector = Detector()
for at, value in points:
    for change in detector.update(at, value): ...
kept = detector.state()                                   # and later on: Detector.of(kept)
"""

from evals.monitors.detectors.changes import Change, ChangeKind
from evals.monitors.detectors.detector import Detector
from evals.monitors.detectors.tuning import Tuning

__all__ = ["Change", "ChangeKind", "Detector", "Tuning"]
