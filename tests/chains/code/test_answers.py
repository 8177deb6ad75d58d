import pytest

from chains.code.answers import by_fences, read

FUNCTION = "def add(a, b):\n    return a + b"


def test_code_is_found_in_its_fence() -> None:
    written = read(f"Here it is:\n\n```python\n{FUNCTION}\n```\n\nIt adds.", "python")
    assert written.code == FUNCTION
    assert written.language == "python"
    assert written.words == "Here it is:\n\nIt adds."


def test_fences_alone_tell_code_that_nobody_had_the_time_to_parse() -> None:
    written = by_fences(f"Here it is:\n\n```python\n{FUNCTION}\n```\n\nIt adds.", "python")
    assert (written.code, written.language, written.words) == (FUNCTION, "python", "Here it is:\n\nIt adds.")
    assert by_fences(f" {FUNCTION}\n", "python").code == FUNCTION


def test_a_fence_that_was_never_closed_counts() -> None:
    assert read(f"```python\n{FUNCTION}\n", "python").code == FUNCTION


def test_the_fence_of_the_wanted_language_wins() -> None:
    answer = f"```bash\npip install something-with-a-long-name-indeed and more of it\n```\n```py\n{FUNCTION}\n```"
    assert read(answer, "python").code == FUNCTION


def test_the_longest_of_several_fences_wins() -> None:
    assert read(f"```\nx\n```\n```\n{FUNCTION}\n```", "python").code == FUNCTION


def test_indented_lines_and_inner_backticks_stay() -> None:
    code = 'def f():\n    return "`x`"'
    assert read(f"```python\n{code}\n```", "python").code == code


def test_code_without_a_fence_is_found_between_words() -> None:
    written = read(f"Sure, here is the function you want:\n{FUNCTION}\nThis adds two numbers together.", "python")
    assert written.code == FUNCTION
    assert "Sure" in written.words
    assert "This adds" in written.words


def test_an_answer_that_is_code_alone_is_code() -> None:
    assert read(FUNCTION, "python").code == FUNCTION


def test_words_alone_come_back_as_they_are() -> None:
    assert read("I cannot do that for you today", "go").code == "I cannot do that for you today"


QUERY = "SELECT name\nFROM people;"


@pytest.mark.parametrize(
    "answer",
    [
        f"```sql\n{QUERY}\n```\nIt selects the names.",
        f"```sql\n{QUERY} ```\nIt selects the names.",
        f"```sql\n{QUERY}\n```sql\nIt selects the names.",
        f"{QUERY}\n```\nIt selects the names.",
        f"```sql\n{QUERY}\n```\nIt selects the names.\n```",
        f"```sql\n{QUERY}\n```\nIt selects the names.\n```sql",
    ],
)
def test_code_and_words_keep_their_places_however_a_fence_is_closed(answer: str) -> None:
    written = read(answer, "sql")
    assert (written.code, written.words) == (QUERY, "It selects the names.")


def test_a_second_block_that_follows_an_unclosed_one_is_another() -> None:
    assert read(f"```bash\nls\n```python\n{FUNCTION}\n```\nDone.", "python").code == FUNCTION


SCRIPT = '# Count files\nn=0\nwhile read -r file; do\n  n=$((n + 1))\nfi < <(find .)\necho "$n"'
PROSE = "This script uses the `find` command to search for files.\nIt counts them."


@pytest.mark.parametrize("script", [f"#!/bin/bash\n{SCRIPT}", "#!/bin/bash\ncount files\nand show them {"])
def test_code_whose_opening_fence_is_missing_is_code_though_it_does_not_parse(script: str) -> None:
    written = read(f"{script}\n```\n{PROSE}", "bash")
    assert (written.code, written.words) == (script, PROSE)


def test_broken_code_without_a_shebang_is_told_from_words_by_its_signs() -> None:
    broken = "def count(items:\n    return {item: 1 for item in items}\nprint(count([1, 2]))"
    written = read(f"{broken}\n```\n{PROSE}", "python")
    assert (written.code, written.words) == (broken, PROSE)


def test_words_before_a_fence_that_is_never_closed_are_no_code() -> None:
    written = read(f"{PROSE}\n```\n{FUNCTION}", "python")
    assert (written.code, written.words) == (FUNCTION, PROSE)
