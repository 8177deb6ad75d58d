"""Token bucket rate limiter used by the public API gateway."""

import time

DEFAULT_CAPACITY = 120
REFILL_PER_SECOND = 2.5


class BucketExhausted(Exception):
    """Raised when a caller has no tokens left."""


class TokenBucket:
    """A token bucket: each request takes one token; tokens come back at a fixed rate."""

    def __init__(self, capacity=DEFAULT_CAPACITY, refill=REFILL_PER_SECOND):
        self.capacity = capacity
        self.refill = refill
        self.tokens = capacity
        self.updated = time.monotonic()

    def take(self, n=1):
        """Take n tokens or raise BucketExhausted."""
        now = time.monotonic()
        self.tokens = min(self.capacity, self.tokens + (now - self.updated) * self.refill)
        self.updated = now
        if n > self.tokens:
            raise BucketExhausted(f"need {n}, have {self.tokens:.1f}")
        self.tokens -= n


def retry_after(bucket, n=1):
    """Seconds until n tokens will be available, for the Retry-After header."""
    return max(0.0, (n - bucket.tokens) / bucket.refill)
