"""What the header of a GGUF file says of the model in it: name, context length, chat template, tokenizer.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (version 3, 2025).
"""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

MAGIC = b"GGUF"
_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_STRING, _ARRAY = 8, 9
_MAX_STRING = 1 << 24


class NotGGUF(Exception):
    """The file is no GGUF file, or its header is damaged."""


@dataclass(frozen=True, slots=True)
class Header:
    """The metadata of the file, by the format's own keys. `parameters`: roughly how many weights; None where untold."""

    values: dict[str, Any]
    parameters: int | None = None

    @property
    def name(self) -> str | None:
        return self.values.get("general.name") or None

    @property
    def context_tokens(self) -> int | None:
        """The context that the model was trained for."""
        return self.values.get(f"{self.values.get('general.architecture')}.context_length")

    @property
    def calls_tools(self) -> bool:
        """Whether the chat template of the model knows tools."""
        return "tools" in (self.values.get("tokenizer.chat_template") or "")

    @property
    def fills_in(self) -> bool:
        """Whether the vocabulary has tokens to fill in the middle."""
        return "tokenizer.ggml.fim_pre_token_id" in self.values or "tokenizer.ggml.prefix_token_id" in self.values


def read_header(path: Path) -> Header:
    """Read the metadata of a GGUF file. Blocking: some 0.1 s for a vocabulary of 50,000.

    Raises:
        OSError: it cannot be read.
        NotGGUF
    """
    with path.open("rb") as file:
        if file.read(4) != MAGIC:
            raise NotGGUF(f"{path.name} is no GGUF file")
        try:
            (version,) = struct.unpack("<I", file.read(4))
            _, count = struct.unpack("<QQ", file.read(16))
            if not 2 <= version <= 3 or count > 100_000:
                raise NotGGUF(f"{path.name} has GGUF version {version}, which is not known here")
            values = {}
            for _ in range(count):
                key = _string(file)
                (kind,) = struct.unpack("<I", file.read(4))
                values[key] = _value(file, kind)
        except (struct.error, UnicodeDecodeError, KeyError, MemoryError, OverflowError) as error:
            raise NotGGUF(f"{path.name} has a damaged header") from error
    return Header(values, _parameters(values))


def _parameters(values: dict[str, Any]) -> int | None:
    """Weights of the attention, the feed-forward layers and the vocabulary, by the dimensions in the header."""
    architecture = values.get("general.architecture")
    names = ("block_count", "embedding_length", "feed_forward_length")
    layers, width, inner = (values.get(f"{architecture}.{name}") for name in names)
    if not isinstance(layers, int) or not isinstance(width, int) or not isinstance(inner, int):
        return None
    return layers * (4 * width * width + 3 * width * inner) + len(values.get("tokenizer.ggml.tokens") or ()) * width


def _value(file: BinaryIO, kind: int) -> Any:
    if kind == _STRING:
        return _string(file)
    if kind == _ARRAY:
        inner, length = struct.unpack("<IQ", file.read(12))
        if inner in _SCALARS:
            layout = _SCALARS[inner]
            data = file.read(struct.calcsize(layout) * length)
            return [value for (value,) in struct.iter_unpack(layout, data)]
        return [_value(file, inner) for _ in range(length)]
    layout = _SCALARS[kind]
    return struct.unpack(layout, file.read(struct.calcsize(layout)))[0]


def _string(file: BinaryIO) -> str:
    (length,) = struct.unpack("<Q", file.read(8))
    if length > _MAX_STRING:
        raise NotGGUF("a string of the header is too long")
    return file.read(length).decode("utf-8")
