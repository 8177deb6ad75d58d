"""all-MiniLM-L6-v2 on this machine: one ONNX session for all threads, documents in small batches, queries ahead of them.

Every run uses one core. Documents are spread over as many threads as there are cores, with a low priority; a query runs at
once on a thread of its own, so that a search during an ingestion waits for a core and never for a batch.
"""

import asyncio
import os
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import numpy as np
import structlog
from langchain_core.embeddings import Embeddings
from numpy.typing import NDArray

from core.context import current
from core.errors import Unavailable
from core.memory import give_back
from core.queue import INGESTION
from providers.base import ModelState
from providers.local_llama import checksum
from providers.local_weights import Weights, embedding_model, embedding_tokenizer
from providers.remembered_vectors import RememberedVectors

log = structlog.get_logger()

DIMENSION = 384
#: The length that the model was trained with; what is longer is cut.
MAX_TOKENS = 256
#: A batch takes some 0.2 s of one core.
TOKENS_PER_BATCH = 1024
#: As many texts as this are embedded as queries are.
FEW_TEXTS = 2

Vectors = NDArray[np.float32]


class LocalEmbeddings(Embeddings):
    """Loads at first use. Vectors are float32 and L2-normalised; those of the last texts of documents are remembered.
    Thread-safe; the asynchronous methods work on any loop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._session: Any = None
        self._tokenizer: Any = None
        self._splitter: Any = None
        self._failed = ""
        self._remembered = RememberedVectors()
        cores = os.cpu_count() or 1
        self._bulk = ThreadPoolExecutor(cores, "embed-documents", initializer=_give_way)
        self._quick = ThreadPoolExecutor(cores, "embed-query")

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        vectors: list[list[float]] = self.embed_array(texts).tolist()
        return vectors

    def embed_query(self, text: str) -> list[float]:
        vector: list[float] = self._quick.submit(self._embed, [text]).result()[0].tolist()
        return vector

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        return await asyncio.to_thread(self.embed_documents, texts)

    async def aembed_query(self, text: str) -> list[float]:
        vectors: Vectors = await asyncio.wrap_future(self._quick.submit(self._embed, [text]))
        query: list[float] = vectors[0].tolist()
        return query

    def embed_array(self, texts: Sequence[str]) -> Vectors:
        """(n, 384) float32, in the order of `texts`. Blocking."""
        if not texts:
            return np.zeros((0, DIMENSION), np.float32)
        if len(texts) <= FEW_TEXTS and not _in_bulk():
            return self._quick.submit(self._embed, list(texts)).result()
        vectors = np.empty((len(texts), DIMENSION), np.float32)
        new = []
        for index, vector in enumerate(self._remembered.recall(texts)):
            if vector is None:
                new.append(index)
            else:
                vectors[index] = vector
        if new:
            vectors[new] = self._embed_anew([texts[index] for index in new])
        return vectors

    def _embed_anew(self, texts: list[str]) -> Vectors:
        self.load()
        lengths = [len(encoding.ids) for encoding in self._tokenizer.encode_batch(texts)]
        vectors = np.empty((len(texts), DIMENSION), np.float32)
        work = [(batch, self._bulk.submit(self._embed, [texts[index] for index in batch])) for batch in _batches(lengths)]
        try:
            for batch, result in work:
                vectors[batch] = result.result()
        finally:
            for _, result in work:
                result.cancel()
            give_back()
        for text, vector in zip(texts, vectors, strict=True):
            self._remembered.remember(text, vector)
        return vectors

    def tokens(self, text: str) -> list[tuple[int, int]]:
        """Offsets in characters of the tokens of `text`, special ones and truncation left out."""
        self._load_tokenizer()
        return list(self._splitter.encode(text, add_special_tokens=False).offsets)

    def load(self) -> None:
        """Verify and load model and tokenizer. Blocking, some 0.3 s; may be repeated.

        Raises:
            Unavailable: code `model_unavailable`.
        """
        self._load_tokenizer()
        with self._lock:
            if self._session is None:
                self._session = self._guarded(_open_session)
                give_back()

    def _load_tokenizer(self) -> None:
        with self._lock:
            if self._splitter is None:
                self._tokenizer, self._splitter = self._guarded(_open_tokenizers)

    def _guarded(self, load: Any) -> Any:
        try:
            return load()
        except (OSError, ValueError, RuntimeError, ImportError) as error:
            self._failed = f"The embedding model cannot be loaded: {error}"
            log.exception("embedding_model.failed")
            raise Unavailable(self._failed, code="model_unavailable") from error

    def _embed(self, texts: list[str]) -> Vectors:
        """Mean over the real tokens, then L2, as sentence-transformers does for this model."""
        if self._session is None:
            self.load()
        encodings = self._tokenizer.encode_batch(texts)
        width = max(len(encoding.ids) for encoding in encodings)
        ids = np.zeros((len(texts), width), np.int64)
        mask = np.zeros((len(texts), width), np.int64)
        for row, encoding in enumerate(encodings):
            ids[row, : len(encoding.ids)] = encoding.ids
            mask[row, : len(encoding.ids)] = 1
        wanted = {each.name for each in self._session.get_inputs()}
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        states = self._session.run(None, {name: value for name, value in given.items() if name in wanted})[0]
        weights = mask[:, :, None].astype(np.float32)
        pooled = (states * weights).sum(axis=1) / np.clip(weights.sum(axis=1), 1e-9, None)
        vectors: Vectors = (pooled / np.clip(np.linalg.norm(pooled, axis=1, keepdims=True), 1e-12, None)).astype(np.float32)
        return vectors

    def state(self) -> ModelState:
        if self._session is not None:
            return ModelState(embedding_model().name, "ready")
        if self._failed:
            return ModelState(embedding_model().name, "failed", self._failed)
        return ModelState(embedding_model().name, "loading" if self._lock.locked() else "idle")

    def close(self) -> None:
        self._bulk.shutdown(wait=False, cancel_futures=True)
        self._quick.shutdown(wait=False, cancel_futures=True)


def _in_bulk() -> bool:
    """Whether it is for ingestion: many small documents must not stand where queries do."""
    return current().capability == INGESTION


def _batches(lengths: list[int]) -> list[list[int]]:
    """Indexes of texts of like length, so that little is padding; `TOKENS_PER_BATCH` at most, padding included."""
    batches: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda at: lengths[at], reverse=True):
        if batches and lengths[batches[-1][0]] * (len(batches[-1]) + 1) <= TOKENS_PER_BATCH:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches


def _verified(weights: Weights) -> str:
    if weights.sha256 is not None and checksum(str(weights.path)) != weights.sha256:
        raise ValueError(f"{weights.path.name} does not have its checksum: it is damaged or has been changed")
    return str(weights.path)


def _open_session() -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # its arena keeps the memory of the largest batch for ever
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(_verified(embedding_model()), options, providers=["CPUExecutionProvider"])


def _open_tokenizers() -> tuple[Any, Any]:
    from tokenizers import Tokenizer

    path = _verified(embedding_tokenizer())
    tokenizer, splitter = Tokenizer.from_file(path), Tokenizer.from_file(path)
    tokenizer.enable_truncation(MAX_TOKENS)
    tokenizer.no_padding()
    splitter.no_truncation()
    splitter.no_padding()
    return tokenizer, splitter


def _give_way() -> None:
    """Let other threads of this process go first. Linux alone has priorities of threads."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
