import pytest

from core.redaction import credentials, dates, identifiers, phones


def kinds(text: str) -> list[tuple[str, str]]:
    return [(one.type.value, text[one.start : one.end]) for one in identifiers.find(text)]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("CREDIT_CARD", "4111 1111 1111 1111"),
        ("CREDIT_CARD", "378282246310005"),
        ("CREDIT_CARD", "5500-0000-0000-0004"),
        ("IBAN_CODE", "GB82WEST12345698765432"),
        ("IBAN_CODE", "FR14 2004 1010 0505 0001 3M02 606"),
        ("US_SSN", "536-22-8731"),
        ("EMAIL_ADDRESS", "o'neil+news@mail.example.co.uk"),
        ("IP_ADDRESS", "203.0.113.77"),
        ("IP_ADDRESS", "2001:db8:85a3::8a2e:370:7334"),
        ("MAC_ADDRESS", "3c:52:82:ab:00:ff"),
        ("CRYPTO", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"),
        ("CRYPTO", "0x52908400098527886E0F7030069857D2E4169EE7"),
        ("NATIONAL_ID", "12345678Z"),  # Spain
        ("NATIONAL_ID", "RSSMRA85T10A562S"),  # Italy
        ("NATIONAL_ID", "131052-308T"),  # Finland
        ("NATIONAL_ID", "390.533.447-05"),  # Brazil
        ("NATIONAL_ID", "756.9217.0769.85"),  # Switzerland
        ("NATIONAL_ID", "11010519491231002X"),  # China
        ("NATIONAL_ID", "QQ 12 34 56 C".replace("QQ", "AB")),  # United Kingdom
        ("URL", "https://example.org/a?b=c#d"),
    ],
)
def test_an_identifier_is_found_by_its_form_and_checksum(kind: str, value: str) -> None:
    assert (kind, value) in kinds(f"It says {value} there.")


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("my driver's license number is U62928788557186", "US_DRIVER_LICENSE", "U62928788557186"),
        ("Passport no. C01X00T47", "PASSPORT", "C01X00T47"),
        ("her SSN is 536228731", "US_SSN", "536228731"),
        ("NHS number 943 476 5919", "UK_NHS", "943 476 5919"),
        ("PESEL: 44051401359", "NATIONAL_ID", "44051401359"),
        ("BSN 111222333", "NATIONAL_ID", "111222333"),
        ("my card 4111 1111 1111 1112 is lost", "CREDIT_CARD", "4111 1111 1111 1112"),
        ("account number 000123456789", "US_BANK_NUMBER", "000123456789"),
    ],
)
def test_a_number_that_only_its_name_tells_is_found_behind_it(text: str, kind: str, value: str) -> None:
    assert (kind, value) in kinds(text)


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1112 apples",
        "order 44051401359",
        "version 1.2.3.4.5",
        "10:20:30 and 1::",
        "12345678A",
        "0000000000000000",
        "notes.md, run.sh, a.b.c and e.g. this",
    ],
)
def test_what_only_looks_like_one_is_none(text: str) -> None:
    assert kinds(text) == []


@pytest.mark.parametrize(
    "value",
    [
        "gh" + "p_" + "a1B2" * 9,
        "AB" + "SK" + "QmVk" * 30 + "==",
        "M" + "TE4" * 8 + ".Gh4kQ1." + "x9Yz" * 8,
        "pcsk" + "_" + "a1B2" * 15,
        "lsv2" + "_pt_" + "0a" * 16 + "_" + "0a" * 5,
        "ab3" + "8Q" + "~" + "x9Yz" * 8,
        "0a" * 16 + "-us" + "12",
        "dp" + ".pt." + "a1B2" * 10,
        "sk-" + "proj-" + "Ab12" * 12,
        "AK" + "IAIOSFODNN7EXAMPLE",
        "AI" + "za" + "Ab1" * 11 + "xy",
        "xo" + "xb-123456789012-abcdefABCDEF",
        "sk_" + "live_" + "4eC39HqLyjWDarjtT1zdp7dc",
        "gk_" + "Ab12" * 8,
        "nv" + "api-" + "aB3_-x" * 10 + "Ab12",
        "AQ" + ".Ab8RN6" + "aB3_-x" * 7 + "Qa",
        "tgp" + "_v1_" + "aB3_-x" * 7 + "Q",
        "tv" + "ly-dev-" + "aB3dE6gH" * 4,
        "tv" + "ly-" + "aB3dE6gH" * 4,
        "CCI" + "PAT_" + "aB3dE6gH9jK" * 2 + "_" + "0123456789abcdef0123" * 2,
        "pu" + "l-" + "0123456789abcdef0123" * 2,
        "dt0" + "c01." + "ABCDEF123456" * 2 + "." + "ABCDEF123456WXYZ" * 4,
        "FlyV1 " + "fm2_" + "aB3dE+/x" * 20 + "=,fm2_" + "aB3dE+/x" * 20 + "==",
        "fm1" + "r_" + "aB3dE+/x" * 20,
        "bk" + "ua_" + "0123456789abcdef0123" * 2,
        "bk" + "ct_" + "aB3dE6gH9jKx" * 4,
        "EZ" + "AK" + "aB3dE6" * 9,
        "EZ" + "TK" + "aB3dE6" * 9,
        "gl" + "pat-" + "aB3dE6gH9jK_-xYz1234",
        "gl" + "pat-" + "aB3dE6gH9j" * 3 + ".01.0w1abcdef",
        "gl" + "rt-" + "aB3dE6gH9j" * 3 + ".0w1abcdef",
        "eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxMjM0NTY3ODkwIn0" + ".dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
        "-----BEGIN " + "PRIVATE KEY-----\nMIIB\nVgIB\n-----END " + "PRIVATE KEY-----",
    ],
)
def test_keys_of_the_common_vendors_are_found_whole(value: str) -> None:
    text = f"use {value} here"
    assert [(one.type.value, text[one.start : one.end]) for one in credentials.find(text)] == [("SECRET", value)]


@pytest.mark.parametrize(
    "text",
    [
        "See the FAQ.About-our-services-and-what-they-cost-you-a-month-in-2026 for more.",
        "the pul-mo-nary-care-unit-of-the-hospital-in-the-north-of-the-city",
        "fm2_name = input('the second name'); fm2_days = 3",
        "call bkct_left_and_right_column_of_the_page_2() for the layout",
        "the library tvly-is-a-prefix-of-keys-which-people-write-about-here",
        "EZTKs and EZAKs are kinds of keys, nvapi-keys too, and dt0c01.tokens",
    ],
)
def test_ordinary_words_that_begin_as_keys_do_are_none(text: str) -> None:
    assert list(credentials.find(text)) == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("password: hunter2!x", "hunter2!x"),
        ('{"api_key": "9f8e7d6c5b4a"}', "9f8e7d6c5b4a"),
        ("DB_PASSWORD=Tr0ub4dor&3xyz", "Tr0ub4dor&3xyz"),
        ("PGPASSWORD=abc123def", "abc123def"),
        ('const dbPassword = "Tr0ub4dor3";', "Tr0ub4dor3"),
        ("AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCY"),
        ("secret_access_key=wJalrXUtnFEMI/K7MDENG/bPxRfiCY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCY"),
        ("OPENAI_API_KEY=0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdef"),
        ("MY_API_KEY: 3f9a8b7c6d5e4f3a", "3f9a8b7c6d5e4f3a"),
        ("aws_session_token = IQoJb3JpZ2luX2VjEJr///wEaCXVz", "IQoJb3JpZ2luX2VjEJr///wEaCXVz"),
        ("AZURE_OPENAI_KEY=0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdef"),
        ("Ocp-Apim-Subscription-Key: 0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdef"),
        ('"Authorization": "Basic dXNlcjpwYXNz"', "dXNlcjpwYXNz"),
        ("Authorization: Token abcdef123456", "abcdef123456"),
        ("call_AKIA" + "IOSFODNN7EXAMPLE_1", "AKIA" + "IOSFODNN7EXAMPLE"),
        ("postgres://app:s3cr3tpw@db/x", "s3cr3tpw"),
    ],
)
def test_a_secret_is_found_by_its_name(text: str, value: str) -> None:
    assert [text[one.start : one.end] for one in credentials.find(text)] == [value]


BARE = "wJalrXUtnFEMI/K7MDENG/" + "bPxRfiCYEXAMPLEKEY"
DRAWN = "q9Zr+T3vKp0LxW7bYd2/" + "GmN5sHc8JfQ1uEaR6kVi"


@pytest.mark.parametrize(
    "text",
    [
        BARE,
        f"Here is what they sent:\n  {BARE}\nIs it still good?",
        f"keys:\n- '{DRAWN}',\n- other",
        f"The pair AKIA{'IOSFODNN7EXAMPLE'} and {BARE}, from the console.",
        f"{DRAWN} belongs to ASIA{'IOSFODNN7EXAMPLE'}.",
        f"AKIA{'IOSFODNN7EXAMPLE'};{DRAWN}",
    ],
)
def test_a_bare_key_of_aws_is_found_by_its_identifier_or_alone_on_its_line(text: str) -> None:
    found = [text[one.start : one.end] for one in credentials.find(text) if not text[one.start : one.end].startswith("A")]
    assert found == [BARE if BARE in text else DRAWN]


@pytest.mark.parametrize(
    "text",
    [
        f"It says {DRAWN} in the middle of a line.",
        "da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "DA39A3EE5E6B4B0D3255BFEF95601890AFD80709",
        "da39A3ee5E6b4b0D3255bfEF95601890afd80709",
        "src/components/Navigation2/HelpersOfPage",
        "getTheNumberOfOpenConnectionsPerServer42",
        "0123456789012345678901234567890123456789",
        f"{DRAWN}==",
        f"{DRAWN}x",
        f"-----BEGIN CERTIFICATE-----\n{'MIIDdzCCAl+gAwIB' * 4}\n{DRAWN}\n-----END CERTIFICATE-----",
        f"{DRAWN}\n{'MIIDdzCCAl+gAwIB' * 4}",
        "commit da39a3ee5e6b4b0d3255bfef95601890afd80709 by AKIA" + "IOSFODNN7EXAMPLE",
    ],
)
def test_what_is_no_bare_key_of_aws_is_none(text: str) -> None:
    assert [one for one in credentials.find(text) if one.end - one.start == 40] == []


@pytest.mark.parametrize(
    "text",
    [
        "The password is required, and the token is missing.",
        'DB_PASSWORD = os.environ["DB_PASSWORD"]',
        "cache_key = user-profile-v2-123456",
        "max_tokens: 1234567890123456",
        "Authorization: Basic authentication",
        "idempotency_key: 550e8400-e29b-41d4-a716-446655440000",
    ],
)
def test_what_is_no_secret_behind_such_a_name_is_none(text: str) -> None:
    assert list(credentials.find(text)) == []


@pytest.mark.parametrize(
    "number",
    ["+49 30 901820", "(415) 555-0142", "02.27.96.63.08", "0431 35 06 90", "001-771-975-4619x123", "73 448 266", "785 8949"],
)
def test_telephone_numbers_are_found_as_people_write_them(number: str) -> None:
    for text in (f"Call {number} now", f"Tel: {number}", f"{number} office\n", f"Office,{number}-Fax"):
        found = [text[one.start : one.end] for one in phones.find(text)]
        assert found == [number], text


@pytest.mark.parametrize(
    "text", ["in 1990-1995", "on 12/03/2024", "pages 112 1143", "3.14159265", "1,000,000", "order 123-45678"]
)
def test_numbers_that_are_none_are_no_telephone_numbers(text: str) -> None:
    assert list(phones.find(text)) == []


@pytest.mark.parametrize("date", ["1974-01-13 16:28:25", "10/15/1986", "13.3.1956", "4 July 1986", "Oct 3rd, 2001", "Sunday"])
def test_dates_that_say_a_day_are_found(date: str) -> None:
    text = f"It was {date}, they say"
    assert [text[one.start : one.end] for one in dates.find(text)] == [date]


def test_dates_that_say_none_are_left() -> None:
    assert list(dates.find("this morning, next year, in 3 weeks, and/or, 1/2 cup, may I?")) == []
