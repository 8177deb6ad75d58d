"""Which documents a process works on now: how many of each tenant, and whether one of them is to be alone."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


class InWork:
    """Belongs to one event loop."""

    def __init__(self) -> None:
        self._tenants: Counter[str] = Counter()
        #: Whether one that is to be alone is in work.
        self.alone = False

    @property
    def tenants(self) -> Mapping[str, int]:
        """Tenants, and how many documents of each are worked on."""
        return +self._tenants

    @contextmanager
    def counted(self, tenant: str, *, alone: bool) -> Iterator[None]:
        """Count one of the tenant's for the block."""
        self._tenants[tenant] += 1
        self.alone = self.alone or alone
        try:
            yield
        finally:
            self._tenants[tenant] -= 1
            self.alone = self.alone and not alone
