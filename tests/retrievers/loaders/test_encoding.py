import pytest

from retrievers.loaders.encoding import clean, decode, looks_like_text

# ruff: noqa: RUF001 - other alphabets are meant
TEXTS = {
    "german": (
        "Die Übung für größere Straßen wäre schön. Müller aß Käse.",
        ["utf-8", "cp1252", "utf-16", "utf-8-sig", "utf-32"],
    ),
    "french": ("L'été dernier, nous avons mangé des crêpes à la crème. Où êtes-vous né ?", ["cp1252", "latin-1"]),
    "spanish": ("El niño comió jamón en España; ¿dónde está la señora mañana?", ["cp1252"]),
    "quotes": ("He said “hello” – it’s a café … nothing else", ["cp1252"]),
    "czech": ("Příliš žluťoučký kůň úpěl ďábelské ódy. Dnešní večeře byla výborná.", ["cp1250"]),
    "polish": ("Zażółć gęślą jaźń. Święty Mikołaj przyjechał do Łodzi późną nocą.", ["cp1250", "iso8859-2"]),
    "russian": ("Привет, мир! Это обычный русский текст.", ["cp1251", "koi8-r", "utf-16-le", "utf-16-be"]),
    "greek": ("Καλημέρα κόσμε, αυτό είναι ένα ελληνικό κείμενο.", ["cp1253"]),
    "japanese": ("これは日本語の文章です。正しく読み込まれるはずです。", ["shift_jis", "euc_jp", "utf-16"]),
    "chinese": ("这是一个中文文本，应该能够正确读取。北京是中国的首都，历史悠久。", ["gb18030"]),
    "korean": ("이것은 한국어 텍스트입니다. 올바르게 읽혀야 합니다.", ["euc_kr"]),
}


@pytest.mark.parametrize(("text", "encoding"), [(text, encoding) for text, all_ in TEXTS.values() for encoding in all_])
def test_text_of_any_usual_encoding_is_recognised(text: str, encoding: str) -> None:
    data = text.encode(encoding)
    assert looks_like_text(data)
    assert decode(data) == text


def test_a_few_accents_in_a_long_text_are_western() -> None:
    text = "plain words go on and on\n" * 5000 + "naïve café at the end\n"
    assert decode(text.encode("cp1252")) == text


def test_bytes_of_no_encoding_still_become_text() -> None:
    assert isinstance(decode(bytes(range(128, 256)) * 3), str)
    assert decode(b"") == ""


def test_half_a_character_at_a_cut_is_no_other_encoding() -> None:
    assert decode("Grüße 日本".encode()[:-1], cut=True) == "Grüße 日"


@pytest.mark.parametrize("data", [bytes(range(256)), b"a\x00\x01\x00\x02\x00", b"\x89PNG\r\n\x1a\n\x00\x00", bytes(100)])
def test_binary_data_is_no_text(data: bytes) -> None:
    assert not looks_like_text(data)


def test_cleaned_text_has_no_controls_no_lone_surrogates_and_one_kind_of_line_end() -> None:
    assert clean("a\x00b\x07\r\nc\rd\u2028e\ufefff") == "ab\nc\nd\nef"
    assert clean("x\ud800y") == "x\ufffdy"
    assert clean("cafe\u0301") == "café"
    assert clean("a\tb") == "a\tb"
