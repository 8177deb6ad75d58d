"""A cross-encoder of a dozen bytes of weights, made here: it counts how often a text says `pump`."""

from pathlib import Path

import pytest

from core.errors import Unavailable
from core.settings import SettingsError
from providers.cross_encoder import MODEL, TOKENIZER, CrossEncoder, check_directory

_VOCABULARY = {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "the": 3, "is": 4, "pump": 5}


def field(number: int, value: int | str | bytes) -> bytes:
    """A field of a protocol buffer."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def node(kind: str, inputs: str, output: str, **attributes: int) -> bytes:
    given = b"".join(field(1, name) for name in inputs.split())
    told = b"".join(field(5, field(1, name) + field(3, value) + field(20, 2)) for name, value in attributes.items())
    return field(1, given + field(2, output) + field(4, kind) + told)


def numbers(name: str, *values: int) -> bytes:
    return field(5, field(1, len(values)) + field(2, 7) + b"".join(field(7, value) for value in values) + field(8, name))


def tensor(number: int, name: str, kind: int, *shape: str) -> bytes:
    dims = b"".join(field(1, field(2, one)) for one in shape)
    return field(number, field(1, name) + field(2, field(1, field(1, kind) + field(2, dims))))


def counting_model(columns: int = 1) -> bytes:
    """ONNX: for each pair the number of `pump` in its second text, in as many columns as asked for."""
    graph = node("Equal", "input_ids pump", "same") + node("Cast", "same", "found", to=1)
    graph += node("Cast", "token_type_ids", "second", to=1) + node("Mul", "found second", "counted")
    graph += node("ReduceSum", "counted axis", "sums", keepdims=1)
    graph += node("Concat", " ".join(["sums"] * columns), "logits", axis=1)
    graph += field(2, "counting") + numbers("pump", 5) + numbers("axis", 1)
    graph += tensor(11, "input_ids", 7, "n", "width") + tensor(11, "token_type_ids", 7, "n", "width")
    graph += tensor(12, "logits", 1, "n", "columns")
    return field(1, 8) + field(7, graph) + field(8, field(2, 13))


def put_model(directory: Path, columns: int = 1) -> Path:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    tokenizer = Tokenizer(models.WordLevel(_VOCABULARY, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    tokenizer.save(str(directory / TOKENIZER))
    (directory / MODEL).write_bytes(counting_model(columns))
    return directory


def test_each_text_is_scored_with_the_query_in_order(tmp_path: Path):
    encoder = CrossEncoder(put_model(tmp_path))
    texts = ["the pump is the pump", "the", "pump", *["the is"] * 20, "pump pump pump"]
    scores = encoder.scores("pump pump pump pump", texts)
    assert scores[1] == pytest.approx(0.5)
    assert scores[-1] > scores[0] > scores[2] > scores[1]
    assert len(scores) == len(texts)
    assert encoder.scores("pump", []) == []
    encoder.close()


def test_a_long_text_is_cut_and_the_query_stays(tmp_path: Path):
    encoder = CrossEncoder(put_model(tmp_path))
    assert encoder.scores("the pump", ["is " * 2000 + "pump", "pump " + "is " * 2000]) == [
        pytest.approx(0.5),
        pytest.approx(0.731, abs=0.001),
    ]
    encoder.close()


def test_a_model_that_is_none_of_that_kind_is_unavailable(tmp_path: Path):
    encoder = CrossEncoder(put_model(tmp_path, columns=3))
    with pytest.raises(Unavailable):
        encoder.scores("pump", ["pump"])
    (tmp_path / MODEL).write_bytes(b"no model")
    with pytest.raises(Unavailable):
        CrossEncoder(tmp_path).scores("pump", ["pump"])
    encoder.close()


def test_a_directory_without_a_model_is_refused_at_the_start(tmp_path: Path):
    check_directory(None)
    with pytest.raises(SettingsError, match=r"holds no model\.onnx and no tokenizer\.json"):
        check_directory(tmp_path)
    check_directory(put_model(tmp_path))
