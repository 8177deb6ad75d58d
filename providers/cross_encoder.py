"""A cross-encoder on this machine: an ONNX model that reads a query and a passage together and says how well they fit.

None comes with the installation. A directory that the operator names holds `model.onnx` and `tokenizer.json`, as exports of
sequence-classification models for ranking do (those of MS MARCO, for example).
"""

import math
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import structlog

from core.errors import Unavailable
from core.settings import SettingsError

log = structlog.get_logger()

MODEL, TOKENIZER = "model.onnx", "tokenizer.json"
#: The length that such models are trained with; what is longer is cut off the passage.
MAX_TOKENS = 512
_PAIRS_AT_ONCE = 8


class CrossEncoder:
    """Loads at first use. Thread-safe; all calls block."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._session: Any = None
        self._tokenizer: Any = None
        self._workers = ThreadPoolExecutor(os.cpu_count() or 1, "cross-encode")

    def scores(self, query: str, texts: Sequence[str]) -> list[float]:
        """How well each text answers the query, from 0 to 1, in the order of the texts.

        Raises:
            Unavailable: `model_unavailable`: it cannot be loaded, or is no model of that kind.
        """
        self._load()
        batches = [texts[first : first + _PAIRS_AT_ONCE] for first in range(0, len(texts), _PAIRS_AT_ONCE)]
        results = [self._workers.submit(self._scored, query, batch) for batch in batches]
        try:
            return [score for result in results for score in result.result()]
        finally:
            for result in results:
                result.cancel()

    def close(self) -> None:
        """Let its threads end. May be called again."""
        self._workers.shutdown(wait=False, cancel_futures=True)

    def _load(self) -> None:
        with self._lock:
            if self._session is not None:
                return
            try:
                self._tokenizer, self._session = _open(self._directory)
            except Exception as error:  # ONNX Runtime's and tokenizers' errors have no class of their own
                log.warning("cross_encoder.failed", error=type(error).__name__)
                raise Unavailable("The cross-encoder cannot be loaded.", code="model_unavailable") from error

    def _scored(self, query: str, texts: Sequence[str]) -> list[float]:
        encodings = self._tokenizer.encode_batch([(query, text) for text in texts])
        width = max(len(encoding.ids) for encoding in encodings)
        given = {name: np.zeros((len(texts), width), np.int64) for name in ("input_ids", "attention_mask", "token_type_ids")}
        for row, encoding in enumerate(encodings):
            length = len(encoding.ids)
            given["input_ids"][row, :length] = encoding.ids
            given["attention_mask"][row, :length] = 1
            given["token_type_ids"][row, :length] = encoding.type_ids
        wanted = {each.name for each in self._session.get_inputs()}
        try:
            logits = np.asarray(self._session.run(None, {name: value for name, value in given.items() if name in wanted})[0])
            return [_probability(float(value)) for value in _relevant(logits, len(texts))]
        except Exception as error:
            log.warning("cross_encoder.failed", error=type(error).__name__)
            raise Unavailable("The cross-encoder does not give scores.", code="model_unavailable") from error


def check_directory(directory: Path | None) -> None:
    """Refuse a setting that names a directory without a model in it. Imports nothing heavy.

    Raises:
        SettingsError
    """
    if directory is None:
        return
    missing = [name for name in (MODEL, TOKENIZER) if not (directory.expanduser() / name).is_file()]
    if missing:
        raise SettingsError(
            "These settings cannot be used:\n  GENAI_RETRIEVAL__CROSS_ENCODER (retrieval.cross_encoder in the TOML file): "
            f"{directory} holds no {' and no '.join(missing)}"
        )


def _relevant(logits: "np.typing.NDArray[Any]", count: int) -> "np.typing.NDArray[Any]":
    """One number a pair: the only one, or of two classes how far the second, the relevant one, is ahead."""
    if logits.ndim == 1 and len(logits) == count:
        return logits
    if logits.ndim == 2 and len(logits) == count and logits.shape[1] == 1:
        return np.asarray(logits[:, 0])
    if logits.ndim == 2 and len(logits) == count and logits.shape[1] == 2:
        return np.asarray(logits[:, 1] - logits[:, 0])
    raise ValueError("the model gives no score for a pair")


def _probability(logit: float) -> float:
    return 1 / (1 + math.exp(-max(min(logit, 60.0), -60.0)))


def _open(directory: Path) -> tuple[Any, Any]:
    import onnxruntime
    from tokenizers import Tokenizer

    path = directory.expanduser()
    tokenizer = Tokenizer.from_file(str(path / TOKENIZER))
    tokenizer.enable_truncation(MAX_TOKENS, strategy="only_second")
    tokenizer.no_padding()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # as for embeddings: it keeps the memory of the largest batch for ever
    options.log_severity_level = 3
    return tokenizer, onnxruntime.InferenceSession(str(path / MODEL), options, providers=["CPUExecutionProvider"])
