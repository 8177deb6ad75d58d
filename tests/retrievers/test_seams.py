import pytest

from retrievers.seams import Seam, Seams, last_seam


@pytest.mark.parametrize(
    ("text", "seam"),
    [
        ("two |words", Seam.BLANK),
        ("two| words", Seam.BLANK),
        ("jane|@acme.com", Seam.WORD),
        ("a@b.com,|c@d.com", Seam.MARK),
        ("1,|234", Seam.MARK),
        ("+49 30| 901", Seam.NUMBER),
        ("+49 30 |901", Seam.NUMBER),
        ("+49 (0)|30", Seam.WORD),
        ("030 /| 901", Seam.NUMBER),
        ("GB29 |NWBK 6016 1331", Seam.NUMBER),
        ("rooms 12, |14", Seam.BLANK),
        ("in 2024. |12 people", Seam.BLANK),
        ("12\n|14", Seam.BLANK),
        ("我们|的", Seam.BLANK),
        ("AB 80 49 17| C", Seam.NUMBER),
        ("AB |80 49 17 C", Seam.NUMBER),
        ("65 170839 J| 008", Seam.NUMBER),
        ("AB 80 49 17 C, |AB 80 49 18 D", Seam.BLANK),
        ("12 |people", Seam.BLANK),
        ("password: |Zx365947kq!", Seam.NUMBER),
        ("password:| Zx365947kq!", Seam.NUMBER),
        ("Authorization: Bearer |abcDEF0123456789", Seam.NUMBER),
        ("password: Zx365947kq!, |password: Zx365948kq!", Seam.BLANK),
        ("password: |required", Seam.BLANK),
        ("电话|13812345678", Seam.BLANK),
        ("电话138|12345678", Seam.WORD),
    ],
)
def test_what_a_cut_goes_through(text: str, seam: Seam) -> None:
    place = text.index("|")
    plain = text.replace("|", "")
    assert Seams(plain, 0, len(plain)).at(place) is seam


def test_the_last_seam_is_the_last_of_the_best() -> None:
    assert last_seam("one two three", 0, 9) == 8
    assert last_seam("one,two,three", 0, 9) == 8
    assert last_seam("one 2222 3333", 0, 9) == 4
    assert last_seam("endless", 0, 3) is None
    assert last_seam("short", 0, 9) == 5
