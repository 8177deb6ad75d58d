"""How long a child process may take, told fairly: what a busy machine keeps it waiting is not its own."""

import time
from pathlib import Path

#: How many times as long as it may take a child is waited for, where other processes keep it from working.
PATIENCE = 5


class Limit:
    """`timeout_s` seconds from now on, and as many more as the child has waited for a processor since: Linux counts that for
    its main thread (`run_delay` of /proc/PID/schedstat). Elsewhere the clock alone decides."""

    def __init__(self, pid: int, timeout_s: float, proc: Path = Path("/proc")) -> None:
        self.timeout_s = timeout_s
        self._waits = proc / str(pid) / "schedstat"
        self._waited_s, self._started = self._so_far_s(), time.monotonic()

    def left_s(self) -> float:
        """Seconds; 0 or less: none."""
        waited_s = min(self._so_far_s() - self._waited_s, (PATIENCE - 1) * self.timeout_s)
        return self._started + self.timeout_s + waited_s - time.monotonic()

    def _so_far_s(self) -> float:
        try:
            return int(self._waits.read_text(encoding="ascii").split()[1]) / 1e9
        except (OSError, IndexError, ValueError):
            return 0.0
