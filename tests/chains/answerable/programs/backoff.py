"""Waits between the tries of a call that fails."""

LONGEST_S = 90


class Backoff:
    """Doubles the wait from try to try."""

    def __init__(self, first_s: float, most: int = 6) -> None:
        self.first_s = first_s
        self.most = most

    def wait_s(self, tried: int) -> float:
        """The seconds to wait after so many tries."""
        return min(self.first_s * 2**tried, LONGEST_S)

    def gives_up(self, tried: int) -> bool:
        """Whether there were enough tries."""
        return tried >= self.most


def repeat(call, *args, **kwargs):
    """Call again and again, until it succeeds or the backoff gives up."""
    for _ in range(Backoff(1.0).most):
        try:
            return call(*args, **kwargs)
        except OSError:
            continue
    raise TimeoutError
