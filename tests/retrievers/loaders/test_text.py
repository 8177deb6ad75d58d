import time

import pytest

from core.errors import UnreadableFile
from retrievers.loaders.assembly import MAX_CHARACTERS
from retrievers.loaders.text import load_text

MARKDOWN = """---
title: "The Manual"
---
Intro
=====
before

## Setup
```python
# no heading
x = 1
```
| a | b |
|---|---|
| 1 | 2 |

after
### Deep ###
end
## Next
last
"""


def stretches(text: str, name: str = "a.md") -> list[tuple[str, tuple[str, ...], str]]:
    document = load_text(text.encode(), name)
    return [
        (section.kind, section.heading, document.text[section.start : section.end].strip()) for section in document.sections
    ]


def test_markdown_is_divided_by_headings_code_and_tables() -> None:
    assert stretches(MARKDOWN) == [
        ("prose", ("Intro",), "Intro\n=====\nbefore"),
        ("prose", ("Intro", "Setup"), "## Setup"),
        ("code", ("Intro", "Setup"), "```python\n# no heading\nx = 1\n```"),
        ("table", ("Intro", "Setup"), "| a | b |\n|---|---|\n| 1 | 2 |"),
        ("prose", ("Intro", "Setup"), "after"),
        ("prose", ("Intro", "Setup", "Deep"), "### Deep ###\nend"),
        ("prose", ("Intro", "Next"), "## Next\nlast"),
    ]


def test_the_text_of_markdown_stays_as_it_is() -> None:
    assert load_text(MARKDOWN.encode(), "a.md").text == MARKDOWN


def test_a_title_comes_from_front_matter_or_the_first_heading() -> None:
    assert load_text(MARKDOWN.encode(), "a.md").title == "The Manual"
    assert load_text(b"# First\ntext", "a.md").title == "First"
    assert load_text(b"text", "a.md").title is None


def test_a_fence_of_another_kind_does_not_close_code() -> None:
    assert [kind for kind, _, _ in stretches("~~~\n```\nx\n~~~\ntext")] == ["code", "prose"]


def test_the_language_of_a_fence_is_kept() -> None:
    document = load_text(b"```Rust\nfn main() {}\n```\n", "a.md")
    assert document.sections[0].language == "rust"


@pytest.mark.parametrize("line", ["#no-heading", "####### seven", "- item\n---", "| a | b |", "    # code"])
def test_what_only_looks_like_a_heading_is_none(line: str) -> None:
    assert all(heading == () for _, heading, _ in stretches(f"text\n\n{line}\n\nmore"))


def test_source_code_is_one_section_of_its_language() -> None:
    document = load_text(b"def f():\n    return 1\n", "src/x.py")
    assert [(section.kind, section.language) for section in document.sections] == [("code", "python")]


def test_line_ends_and_encodings_are_one() -> None:
    assert load_text("a\r\nGrüße\r".encode("utf-16"), "a.txt").text == "a\nGrüße\n"


def test_too_much_text_is_refused() -> None:
    with pytest.raises(UnreadableFile) as caught:
        load_text(b"x" * (MAX_CHARACTERS + 1), "a.txt")
    assert caught.value.code == "file_too_complex"


@pytest.mark.parametrize(
    "text",
    ["# " + " " * 1_000_000 + "x", "#" * 1_000_000, ("|" + "-|" * 200_000 + "\n") * 2, "```\n" * 100_000, "---\n" * 200_000],
)
def test_hostile_markdown_costs_no_time(text: str) -> None:
    started = time.process_time()
    load_text(text.encode(), "a.md")
    assert time.process_time() - started < 3
