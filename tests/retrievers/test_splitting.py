import base64
import json
import random
import re
from itertools import pairwise

import pytest

from core.redaction import credentials
from retrievers.base import LoadedDocument, Section
from retrievers.splitting import split


def words(text: str) -> list[tuple[int, int]]:
    """A tokenizer for tests: a word or a mark is a token."""
    return [match.span() for match in re.finditer(r"\w+|[^\w\s]", text)]


def chunks_of(document: LoadedDocument, max_tokens: int = 50, overlap: int = 10, name: str = "guide.md"):
    return split(document, document_id="doc_1", name=name, revision=1, tokens_of=words, max_tokens=max_tokens, overlap=overlap)


def prose(sentences: int) -> str:
    return " ".join(f"Sentence number {n} tells of the thing called item{n} at some length." for n in range(sentences))


def test_every_chunk_is_the_text_at_its_offsets_and_every_word_is_in_one():
    generator = random.Random(7)
    for _ in range(40):
        pieces = [
            generator.choice(
                [prose(generator.randint(1, 12)), "# Heading", "- item one\n- item two", "| a | b |\n|---|---|\n| 1 | 2 |"]
            )
            for _ in range(generator.randint(1, 9))
        ]
        text = generator.choice(["\n", "\n\n", "  \n \n"]).join(pieces) + generator.choice(["", "\n", "   "])
        cut = sorted(generator.sample(range(len(text) + 1), 2))
        sections = (Section(0, cut[0], 1), Section(cut[0], cut[1], 2, ("A", "B")), Section(cut[1], len(text), 3, kind="code"))
        chunks = chunks_of(LoadedDocument(text, "text/plain", sections), generator.choice([20, 50]), generator.choice([0, 10]))
        for chunk in chunks:
            assert text[chunk.start : chunk.end] == chunk.text
            assert chunk.text == chunk.text.strip() != ""
        covered = {position for chunk in chunks for position in range(chunk.start, chunk.end)}
        assert all(position in covered for position, character in enumerate(text) if not character.isspace())


def test_a_chunk_with_its_context_keeps_to_the_size():
    document = LoadedDocument(
        prose(60), "text/plain", (Section(0, len(prose(60)), None, ("A rather long heading of ten words and more",)),)
    )
    for chunk in chunks_of(document, max_tokens=50):
        assert len(words(chunk.context)) + len(words(chunk.text)) <= 50


def test_chunks_begin_at_sentences_and_repeat_the_last_ones():
    chunks = chunks_of(LoadedDocument(prose(30), "text/plain"), max_tokens=60, overlap=15)
    assert len(chunks) > 3
    assert all(chunk.text.startswith("Sentence number") and chunk.text.endswith(".") for chunk in chunks)
    assert all(second.start < first.end for first, second in pairwise(chunks))


def test_parts_of_a_long_text_are_about_equal():
    sizes = [len(words(chunk.text)) for chunk in chunks_of(LoadedDocument(prose(11), "text/plain"), max_tokens=100, overlap=0)]
    assert min(sizes) > 0.5 * max(sizes)


def test_a_chunk_never_crosses_a_page():
    text = "Short page one.\nShort page two.\nShort page three."
    sections = (Section(0, 16, 1), Section(16, 32, 2), Section(32, len(text), 3))
    assert [(chunk.page, chunk.text) for chunk in chunks_of(LoadedDocument(text, "application/pdf", sections, pages=3))] == [
        (1, "Short page one."),
        (2, "Short page two."),
        (3, "Short page three."),
    ]


def test_headings_become_context_and_tiny_sections_join():
    text = "# Guide\n\n## Install\nRun it.\n\n## Use\nPress the button."
    install, use = text.index("## Install"), text.index("## Use")
    sections = (
        Section(0, install, None, ("Guide",)),
        Section(install, use, None, ("Guide", "Install")),
        Section(use, len(text), None, ("Guide", "Use")),
    )
    (chunk,) = chunks_of(LoadedDocument(text, "text/markdown", sections, title="Guide"), max_tokens=200)
    assert chunk.context == "Guide"
    long = text.replace("Run it.", prose(20))
    shift = len(long) - len(text)
    sections = (
        sections[0],
        Section(install, use + shift, None, ("Guide", "Install")),
        Section(use + shift, len(long), None, ("Guide", "Use")),
    )
    contexts = [chunk.context for chunk in chunks_of(LoadedDocument(long, "text/markdown", sections, title="Guide"))]
    assert "Guide › Install" in contexts
    assert contexts[-1] == "Guide › Use"


def test_later_rows_of_a_table_know_their_header():
    rows = "\n".join(f"| item{n} | {n} |" for n in range(40))
    text = f"| name | amount |\n|---|---|\n{rows}"
    chunks = chunks_of(LoadedDocument(text, "text/csv", (Section(0, len(text), kind="table"),)), max_tokens=60)
    assert len(chunks) > 2
    assert all("name | amount" in chunk.context for chunk in chunks[1:])
    assert all(chunk.text.startswith("|") and chunk.text.endswith("|") for chunk in chunks)


def test_ids_are_the_same_for_the_same_content_and_differ_by_revision():
    document = LoadedDocument(prose(20), "text/plain")
    first, again = chunks_of(document), chunks_of(document)
    assert [chunk.id for chunk in first] == [chunk.id for chunk in again]
    other = split(document, document_id="doc_1", name="guide.md", revision=2, tokens_of=words, max_tokens=50, overlap=10)
    assert not {chunk.id for chunk in first} & {chunk.id for chunk in other}


@pytest.mark.parametrize("text", ["", "   \n\n\t ", "\n"])
def test_blank_text_gives_no_chunk(text):
    assert chunks_of(LoadedDocument(text, "text/plain")) == []


def test_a_word_without_end_is_cut_between_tokens():
    text = "x" * 10
    chunks = split(
        LoadedDocument(text, "text/plain"),
        document_id="doc_1",
        name="0042.txt",
        revision=1,
        tokens_of=lambda part: [(n, n + 1) for n in range(len(part))],
        max_tokens=4,
        overlap=0,
    )
    assert "".join(chunk.text for chunk in chunks) == text
    assert all(len(chunk.text) <= 4 and chunk.context == "" for chunk in chunks)


VALUES = (
    "jane.tanaka74@acme-corp.com",
    "+49 30 90 2249",
    "DE89 3704 0044 0532 0130 00",
    "4111-1111 - 1111-1111",
    "(030) 901 820-12",
)


def pieces(text: str) -> list[tuple[int, int]]:
    """A tokenizer that takes words apart, as those of embedding models do."""
    return [match.span() for match in re.finditer(r"\w{1,3}|[^\w\s]", text)]


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("between", [", ", ",", "; ", "、"])
def test_a_value_of_a_long_list_is_never_cut(value: str, between: str):
    text = between.join([value] * 120)
    chunks = split(
        LoadedDocument(text, "text/plain"),
        document_id="doc_1",
        name="list.txt",
        revision=1,
        tokens_of=pieces,
        max_tokens=60,
        overlap=10,
    )
    assert len(chunks) > 5
    assert {chunk.text.strip(between).replace(value, "").strip(between + " ") for chunk in chunks} == {""}
    assert all(len(pieces(chunk.text)) <= 60 for chunk in chunks)


def test_a_block_of_one_long_line_ends_at_a_word():
    text = " ".join(f"word{n}" for n in range(30_000))
    assert all(re.fullmatch(r"word\d+( word\d+)*", chunk.text) for chunk in chunks_of(LoadedDocument(text, "text/plain")))
    ends = {match.end() for match in re.finditer(r"\S+", text)}
    assert {chunk.end for chunk in chunks_of(LoadedDocument(text, "text/plain"))} <= ends


def test_numbers_without_end_are_cut_between_their_groups():
    text = " ".join(["1234"] * 200)
    assert all(re.fullmatch(r"1234( 1234)*", chunk.text) for chunk in chunks_of(LoadedDocument(text, "text/plain")))


@pytest.mark.parametrize(
    ("title", "name", "context"),
    [
        ("Contact jane.roe@acme-corp.com", "a.md", "Contact jane.roe@acme-corp.com"),
        (None, "jane.roe@acme-corp.com", "jane.roe@acme-corp.com"),
        (None, "Letter to jane@roe.md", "Letter to jane@roe.md"),
        (None, "Annual report.PDF", "Annual report"),
        (None, "v2.release notes.md", "v2.release notes"),
        ("Release 2.md", "a.txt", "Release 2.md"),
    ],
)
def test_an_extension_is_cut_from_names_of_files_alone(title: str | None, name: str, context: str):
    (chunk,) = chunks_of(LoadedDocument("Some words.", "text/plain", title=title), name=name)
    assert chunk.context == context


@pytest.mark.parametrize("value", VALUES)
def test_a_context_is_cut_before_the_value_that_does_not_fit(value: str):
    heading = f"{'Staff ' * 38}"[: 240 - len(value) // 2].rsplit(" ", 1)[0] + f" {value} and others"
    document = LoadedDocument("Some words.", "text/plain", (Section(0, 11, heading=(heading,)),))
    (chunk,) = chunks_of(document, name="1.txt", max_tokens=200)
    assert set(chunk.context.split()) == {"Staff"}


def test_a_context_of_one_word_that_does_not_fit_is_none():
    document = LoadedDocument("Some words.", "text/plain", title="x" * 300)
    assert chunks_of(document)[0].context == ""


def test_a_megabyte_is_split_in_blocks():
    longest = 0

    def counted(part: str) -> list[tuple[int, int]]:
        nonlocal longest
        longest = max(longest, len(part))
        return words(part)

    text = "\n".join(prose(10) for _ in range(1600))
    chunks = split(
        LoadedDocument(text, "text/plain"), document_id="d", name="n", revision=1, tokens_of=counted, max_tokens=250, overlap=40
    )
    assert chunks[0].start == 0
    assert chunks[-1].end == len(text)
    assert longest < 100_000


def private_key(lines: int) -> str:
    drawn = base64.b64encode(random.Random(5).randbytes(48 * lines)).decode()
    body = "\n".join(drawn[i : i + 64] for i in range(0, len(drawn), 64))
    return "-----BEGIN " + f"PRIVATE KEY-----\n{body}\n-----END " + "PRIVATE KEY-----\n"


def in_small_tokens(text: str) -> list[tuple[int, int]]:
    """As the models' tokenizers read base64: a token holds a few characters."""
    return [(i, min(i + 4, end)) for start, end in words(text) for i in range(start, end, 4)]


def split_small(text: str, max_tokens: int, overlap: int = 0):
    document = LoadedDocument(text, "text/plain")
    return split(
        document, document_id="doc_1", name="a", revision=1, tokens_of=in_small_tokens, max_tokens=max_tokens, overlap=overlap
    )


@pytest.mark.parametrize("overlap", [0, 40])
def test_a_private_key_that_fits_is_kept_whole(overlap: int):
    key = private_key(6)
    for before in range(4, 16):
        chunks = split_small(f"{prose(before)}\n\n{key}\n{prose(12)}", 200, overlap)
        assert sum(key.strip() in chunk.text for chunk in chunks) == 1
        assert not any(
            key[40:60] in chunk.text or key[-60:-40] in chunk.text for chunk in chunks if key.strip() not in chunk.text
        )


@pytest.mark.parametrize("escaped", [False, True], ids=["plain", "json"])
@pytest.mark.parametrize("max_tokens", [80, 200, 400])
def test_every_piece_of_a_long_private_key_is_known_for_one(max_tokens: int, escaped: bool):
    key = private_key(26)
    text = json.dumps({"type": "service_account", "private_key": key}) if escaped else f"{prose(9)}\n\n{key}\n{prose(9)}"
    chunks = split_small(text, max_tokens)
    lines = [line for line in key.splitlines() if not line.startswith("-")]
    assert sum(any(line in chunk.text for line in lines) for chunk in chunks) > 1
    for chunk in chunks:
        assert text[chunk.start : chunk.end] == chunk.text
        spans = [(one.start, one.end) for one in credentials.find(chunk.text)]
        rest = "".join(c for i, c in enumerate(chunk.text) if not any(start <= i < end for start, end in spans))
        assert not any(line[i : i + 12] in rest for line in lines for i in range(0, 64, 12))


def test_a_private_key_is_not_cut_between_two_blocks_of_a_long_text():
    key = private_key(10)
    for shift in range(0, 900, 150):
        text = f"{'word ' * (11_840 + shift // 5)}\n{key}{'word ' * 20_000}"
        chunks = split_small(text, 400)
        assert sum(key.strip() in chunk.text for chunk in chunks) == 1


def test_a_secret_is_not_cut_from_its_name():
    text = ", ".join(f"password: Zx{n:06d}kq!" for n in range(90))
    for size in range(20, 60):
        for chunk in chunks_of(LoadedDocument(text, "text/plain"), size, 0):
            assert not chunk.text.startswith("Zx")
            assert not chunk.text.endswith("password:")
