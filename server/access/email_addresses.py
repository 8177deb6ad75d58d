"""How e-mail addresses are told apart: one spelling, in which they are stored, compared and looked up.

Lower case, and no further folding: what Unicode folds together, as `ß` and `ss`, are mailboxes of different people.
"""

_MOST_CHARACTERS = 320


def stored(address: str) -> str:
    """An address as it is stored."""
    return address.strip().lower()[:_MOST_CHARACTERS]


def spellings(address: str) -> list[str]:
    """As which a row may hold the address, the right one first: accounts that were made here once had it folded further. For
    those who prove by something else than the address who they are."""
    return list(dict.fromkeys((stored(address), address.strip().casefold()[:_MOST_CHARACTERS])))


def counted(address: str) -> str:
    """What attempts to sign in are counted under: of all that lead to the same row it is the same."""
    return stored(address).casefold()
