"""Memory: keeping the C library from holding on to it (nothing happens where it is not glibc), and Python from searching it."""

import ctypes
import gc
from contextlib import suppress

#: glibc's mallopt(3) parameter for the number of arenas.
_M_ARENA_MAX = -8
_ARENAS = 2


def limit_arenas() -> None:
    """Let all threads share a few arenas instead of one each: 86 MB less after the first ingestion, with some 40 threads.

    Call it before threads are started.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)


def hurry() -> None:
    """Call it before everything is loaded, and `settle` afterwards: 0.7 of 4.7 s went into looking for garbage among what was
    just loaded (langserve, chromadb and what they bring; Python 3.11)."""
    gc.set_threshold(100_000, 50, 1000)


def settle() -> None:
    """Call it once everything is loaded: what is there by now is left out of every later search for garbage.

    A million objects of libraries were walked through every few hundred requests: a fifth of the processor time under load,
    and pauses of 0.2 s. Searching less often costs nothing: most of what a request leaves behind needs no search.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


def give_back() -> None:
    """Hand freed memory to the system: 60 MB after loading the embedding model, as much after a batch."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
