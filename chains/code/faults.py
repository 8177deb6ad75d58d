"""What a fault is: certain about its place, and seen without running anything."""

from typing import Literal

Severity = Literal["error", "warning", "info"]
#: Line (from 1), severity, message.
Fault = tuple[int, Severity, str]
MAX_FAULTS = 50
