"""The exact tokenizer of a GGUF file with a byte-level BPE vocabulary, made from the file's own header."""

from pathlib import Path

from providers.gguf import read_header
from providers.tokens import Counter

#: How llama.cpp splits text before BPE for the vocabularies that are made here (`src/llama-vocab.cpp`, 2025).
_DIGITS_ALONE = frozenset({"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"})
_PLAIN = frozenset({"gpt-2", "phi-2", "jina-es", "jina-de", "mpt", "olmo", "jais"})


def tokenizer_of(path: Path) -> Counter | None:
    """Counts tokens as the model does; None for a vocabulary of another kind. Blocking: some 0.3 s."""
    values = read_header(path).values
    pre = values.get("tokenizer.ggml.pre")
    if values.get("tokenizer.ggml.model") != "gpt2" or pre not in _DIGITS_ALONE | _PLAIN:
        return None
    from tokenizers import Tokenizer, pre_tokenizers
    from tokenizers.models import BPE

    vocabulary = {token: index for index, token in enumerate(values["tokenizer.ggml.tokens"])}
    merges = [tuple(merge.split(" ", 1)) for merge in values["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(BPE(vocabulary, merges))
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.pre_tokenizer = (
        pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level])
        if pre in _DIGITS_ALONE
        else byte_level
    )
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)
