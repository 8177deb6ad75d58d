"""The header of the real bundled model, and of files that are none."""

import struct
from pathlib import Path

import pytest

from providers.gguf import NotGGUF, read_header
from providers.local_tokens import tokenizer_of
from providers.local_weights import bundled_chat


def test_tells_what_the_bundled_model_is() -> None:
    header = read_header(bundled_chat().path)
    assert header.name
    assert header.name.startswith("Smollm2 135M")
    assert header.context_tokens == 8192
    assert header.parameters is not None
    assert 100_000_000 < header.parameters < 200_000_000
    assert not header.calls_tools
    assert not header.fills_in


def test_makes_the_tokenizer_of_the_bundled_model() -> None:
    count = tokenizer_of(bundled_chat().path)
    assert count is not None
    assert [count(text) for text in ("", "Hello world", "1234")] == [0, 2, 4]


HEAD = b"GGUF" + struct.pack("<IQQ", 3, 0, 1)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x03\x04" + b"\0" * 100,
        b"GGUF",
        b"GGUF" + struct.pack("<IQQ", 99, 0, 1),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 2**60),
        HEAD + struct.pack("<Q", 2**62),
        HEAD + struct.pack("<Q", 1) + b"\xff" + struct.pack("<I", 4),
        HEAD + struct.pack("<Q", 1) + b"k" + struct.pack("<I", 77),
        HEAD + struct.pack("<Q", 1) + b"k" + struct.pack("<IIQ", 9, 4, 2**61),
        HEAD + struct.pack("<Q", 1) + b"k" + struct.pack("<IIQ", 9, 9, 2**61),
    ],
)
def test_a_damaged_header_is_refused_fast_and_with_little_memory(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(data)
    with pytest.raises(NotGGUF):
        read_header(path)
