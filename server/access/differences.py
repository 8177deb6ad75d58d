"""What a change of rights or members gives and takes, as the audit log tells it."""

from collections.abc import Collection

from core.audit import Detail

#: As many as one event tells of a list.
_AT_ONCE = 30


def changes(before: Collection[str], after: Collection[str]) -> list[dict[str, Detail]]:
    """The details `given` and `taken` of one event, or of as many events as it takes to name them all; at least one."""
    given, taken = sorted(set(after) - set(before)), sorted(set(before) - set(after))
    told: list[dict[str, Detail]] = []
    for first in range(0, max(len(given), len(taken), 1), _AT_ONCE):
        some = {"given": given[first : first + _AT_ONCE], "taken": taken[first : first + _AT_ONCE]}
        told.append({name: names for name, names in some.items() if names})
    return told
