import httpx
import pytest

from server.file_names import carried


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("the %22best%22 plan.txt", 'the "best" plan.txt'),
        ("two%0D%0Alines.txt", "two lines.txt"),
        ("two\nlines\t.txt", "two lines .txt"),
        ("100%25 sure%2F.txt", "100%25 sure%2F.txt"),
    ],
)
def test_what_a_form_had_to_write_otherwise_is_taken_back(name: str, known: str) -> None:
    assert carried(name) == known == carried(known)


@pytest.mark.parametrize("name", ['the "best" plan.txt', "a\\b.txt", "50% off; really.txt", "line\nbreak\x07.txt"])
def test_what_httpx_writes_is_what_is_known_here(name: str) -> None:
    request = httpx.Request("POST", "http://platform.test", files={"files": (name, b"x")})
    header = next(line for line in request.read().split(b"\r\n") if b"filename" in line).decode()
    sent = header.split('filename="', 1)[1].rstrip('"').replace("\\\\", "\\")
    assert carried(sent) == carried(name)
