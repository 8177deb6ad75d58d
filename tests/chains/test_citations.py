import pytest

from chains.citations import marked, marks, without_marks


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("[1]", [1]),
        ("[2, 3] and [2]", [2, 3]),
        ("【4】", [4]),
        ("【5†source】", [5]),
        ("[Source 6]", [6]),
        ("[^7]", [7]),
        ("[x]", []),
    ],
)
def test_marks_are_read_as_models_write_them(text: str, numbers: list[int]):
    assert marks(text) == numbers
    assert marks(without_marks(f"So it is {text}.")) == []


def test_without_marks_a_sentence_reads_on():
    assert without_marks("It is cold [1], and wet 【2†rain】. [3]") == "It is cold, and wet."


@pytest.mark.parametrize(
    ("answer", "sentences"),
    [
        ("Alpha is cooled by sodium [1]. Beta by helium [2].", [[1], [2]]),
        ("Alpha is cooled by sodium. [1] Beta is cooled by helium. [2]", [[1], [2]]),
        ("Alpha is cooled by sodium.[1] Beta is cooled by helium.[2]", [[1], [2]]),
        ("Alpha is cooled by sodium.【1†a】 Beta is cooled by helium.【2】", [[1], [2]]),
        ("- Alpha is cooled by sodium. [1]\n- Beta is cooled by helium. [2, 3]", [[1], [2, 3]]),
        ("[1] Alpha is cooled by sodium. [2] Beta is cooled by helium.", [[1], [2]]),
        ("Alpha is cooled by sodium.\n\n[1]\n\nBeta is cooled by helium. [2]", [[1], [2]]),
        ("Alpha is cooled by sodium. [1][3] Beta is cooled by helium.", [[1, 3], []]),
    ],
)
def test_a_mark_belongs_to_the_sentence_that_it_stands_behind(answer: str, sentences: list[list[int]]):
    found = marked(answer)
    assert [numbers for _, numbers in found] == sentences
    assert "Alpha" in found[0][0]
    assert "Alpha" not in found[1][0]
    assert "Beta" in found[1][0]
