"""Vectors of the texts that were embedded last, so that the sentences of a passage are embedded once for many questions."""

import secrets
import threading
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

#: 1.7 kB each with what holds it: 7 MB of vectors with 384 dimensions.
MOST = 4096


class RememberedVectors:
    """Knows a text again by a digest under a key of its own: no text is kept. Thread-safe."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._key = secrets.token_bytes(32)
        self._vectors: OrderedDict[bytes, NDArray[np.float32]] = OrderedDict()
        self._lock = threading.Lock()

    def recall(self, texts: Sequence[str]) -> list[NDArray[np.float32] | None]:
        """The vector of each text; None of one that is not remembered."""
        names = [self._name(text) for text in texts]
        with self._lock:
            found = [self._vectors.get(name) for name in names]
            for name, vector in zip(names, found, strict=True):
                if vector is not None:
                    self._vectors.move_to_end(name)
        return found

    def remember(self, text: str, vector: NDArray[np.float32]) -> None:
        """Keep a copy of the vector, and forget what was not recalled for longest where there are too many."""
        with self._lock:
            self._vectors[self._name(text)] = vector.copy()
            if len(self._vectors) > self._most:
                self._vectors.popitem(last=False)

    def _name(self, text: str) -> bytes:
        return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16, key=self._key).digest()
