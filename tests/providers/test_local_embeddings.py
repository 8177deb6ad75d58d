"""The real local embedding model."""

import asyncio
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import providers.local_embeddings as module
from providers.local_embeddings import DIMENSION, LocalEmbeddings, _batches
from providers.local_weights import Weights, embedding_tokenizer


@pytest.fixture(scope="module")
def embeddings() -> Iterator[LocalEmbeddings]:
    loaded = LocalEmbeddings()
    yield loaded
    loaded.close()


def test_near_texts_are_near(embeddings: LocalEmbeddings) -> None:
    dog, puppy, bond = embeddings.embed_array(["A dog barks.", "The puppy is barking.", "Bond yields fell in March."])
    assert dog @ puppy > 0.6 > 0.2 > dog @ bond


def test_vectors_have_the_order_of_the_texts_and_length_one(embeddings: LocalEmbeddings) -> None:
    texts = [f"Text number {number} " + "about pumps and valves " * (number % 7) for number in range(40)]
    vectors = embeddings.embed_array(texts)
    assert vectors.shape == (40, DIMENSION)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    for at in (0, 6, 39):
        assert np.allclose(vectors[at], embeddings.embed_query(texts[at]), atol=1e-4)


async def test_asynchronous_calls_give_the_same(embeddings: LocalEmbeddings) -> None:
    assert np.allclose(await embeddings.aembed_query("A dog barks."), embeddings.embed_query("A dog barks."))
    assert np.allclose(await embeddings.aembed_documents(["a", "b", "c"]), embeddings.embed_documents(["a", "b", "c"]))


@pytest.mark.parametrize("text", ["", " ", "\x00", "word " * 5000, "🌍" * 300, "é"])
def test_any_text_has_a_vector(embeddings: LocalEmbeddings, text: str) -> None:
    assert np.isfinite(embeddings.embed_query(text)).all()


def test_no_texts_have_no_vectors(embeddings: LocalEmbeddings) -> None:
    assert embeddings.embed_documents([]) == []


def test_what_was_embedded_is_not_embedded_again(embeddings: LocalEmbeddings, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"Valve {number} opens at {number} bar." for number in range(5)]
    first = embeddings.embed_array(texts)
    seen: list[str] = []
    embed = embeddings._embed

    def watched(given: list[str]) -> module.Vectors:
        seen.extend(given)
        return embed(given)

    monkeypatch.setattr(embeddings, "_embed", watched)
    again = embeddings.embed_array([*reversed(texts), "Valve 5 leaks."])
    assert seen == ["Valve 5 leaks."]
    assert np.array_equal(again[:5], first[::-1])
    assert np.allclose(again[5], embeddings.embed_query("Valve 5 leaks."), atol=1e-4)


async def test_a_query_does_not_wait_for_documents(embeddings: LocalEmbeddings) -> None:
    documents = asyncio.create_task(embeddings.aembed_documents(["A long text about pumps. " * 40] * 16))
    while not embeddings._bulk._work_queue.qsize():  # noqa: ASYNC110 - a thread's queue has no event of this loop
        await asyncio.sleep(0.002)
    await embeddings.aembed_query("Where is the pump?")
    assert not documents.done()
    assert len(await documents) == 16


def test_batches_hold_every_text_once_and_are_bounded() -> None:
    lengths = [3, 256, 10, 200, 5, 256, 1, 100] * 9
    batches = _batches(lengths)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    assert all(max(lengths[index] for index in batch) * len(batch) <= module.TOKENS_PER_BATCH for batch in batches)


def test_tokens_are_told_by_their_place_in_the_text(embeddings: LocalEmbeddings) -> None:
    text = "Grüße an die Pumpe 🌍 " + "wand " * 400
    offsets = embeddings.tokens(text)
    assert len(offsets) > 400, "nothing is cut"
    assert text[offsets[-1][0] : offsets[-1][1]] == "wand"
    assert all(before[1] <= after[0] for before, after in pairwise(offsets))


def test_a_damaged_file_is_not_loaded(tmp_path: Path) -> None:
    good = embedding_tokenizer()
    damaged = tmp_path / "tokenizer.json"
    damaged.write_bytes(good.path.read_bytes() + b" ")
    with pytest.raises(ValueError, match="checksum"):
        module._verified(Weights(good.name, damaged, good.sha256))


def test_says_how_it_stands() -> None:
    fresh = LocalEmbeddings()
    assert fresh.state().state == "idle"
    fresh.load()
    assert fresh.state().state == "ready"
    fresh.close()
