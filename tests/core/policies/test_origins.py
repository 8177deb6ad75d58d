import pytest

from core.policies.origins import canonical


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("https://App.Example.com", "https://app.example.com"),
        ("https://app.example.com:443", "https://app.example.com"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://[::1]:80", "http://[::1]"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
    ],
)
def test_an_origin_is_kept_as_browsers_send_it(given: str, sent: str) -> None:
    assert canonical(given) == sent


@pytest.mark.parametrize(
    "given",
    [
        "*", "https://*.example.com", "null", "app.example.com", "https://app.example.com/", "https://app.example.com/x",
        "https://app.example.com?", "https://a@app.example.com", "ftp://app.example.com", "file:///x", "https://",
        "https://a b",
        "https://app.example.com:x", "https://app.example.com#", "https://a,https://b",
    ],
)  # fmt: skip
def test_anything_else_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match="origin"):
        canonical(given)
