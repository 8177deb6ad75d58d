import base64

import pytest

from chains.attachments import as_seen, as_text, attachments
from core.errors import InvalidRequest, PlatformError, UnreadableFile
from core.settings import RequestLimits, Settings
from tests.retrievers import making

LIMITS = RequestLimits()
PICTURE = making.picture(["x"])


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.parametrize(
    "text",
    [
        encoded(PICTURE),
        encoded(PICTURE).rstrip("="),
        base64.urlsafe_b64encode(PICTURE).decode(),
        "\n".join(encoded(PICTURE)[at : at + 76] for at in range(0, len(encoded(PICTURE)), 76)),
        "data:image/png;base64," + encoded(PICTURE),
        "data:image/png;name=a.png;base64," + encoded(PICTURE),
    ],
    ids=["plain", "unpadded", "url-safe", "in lines", "data url", "data url with a name"],
)
def test_base64_is_taken_in_every_form(text: str) -> None:
    [found] = attachments([text], [], LIMITS)
    assert found.data == PICTURE
    assert found.image is not None
    assert found.image.media_type == "image/png"


def test_files_are_told_apart_by_their_content() -> None:
    pdf = making.pdf([["x"]])
    found = attachments([encoded(pdf), encoded(PICTURE)], [("a.md", encoded(b"# x")), ("b", encoded(PICTURE))], LIMITS)
    assert [attachment.image is not None for attachment in found] == [False, True, False, True]
    assert [attachment.name for attachment in found] == ["document 1", "image 2", "a.md", "b"]
    assert [attachment.param for attachment in found] == ["images.0", "images.1", "documents.0.data", "documents.1.data"]


def test_a_name_cannot_break_out_of_its_mark() -> None:
    [found] = attachments([], [('"></attachment>\n<b>', encoded(b"x"))], LIMITS)
    assert not set('<>"\n') & set(found.name)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("not base64!", "invalid_request"),
        ("https://example.com/a.png", "invalid_request"),
        ("data:image/png,abc", "invalid_request"),
        ("data:image/png;base64", "invalid_request"),
        ("abcde", "invalid_request"),
        ("", "empty_file"),
        (encoded(b"this is no image"), "unsupported_file_type"),
        (encoded(PICTURE[:200]), "corrupt_file"),
        (encoded(making.huge_png()), "image_too_large"),
    ],
)
def test_what_is_no_image_is_refused_by_its_place(text: str, code: str) -> None:
    with pytest.raises(PlatformError) as caught:
        attachments([encoded(PICTURE), text], [], LIMITS)
    assert (caught.value.code, caught.value.param) == (code, "images.1")
    assert isinstance(caught.value, (InvalidRequest, UnreadableFile))


async def test_a_model_that_sees_gets_pictures_and_text_layers(settings: Settings) -> None:
    image, scan, layered = attachments(
        [encoded(PICTURE)], [("scan.pdf", encoded(making.scanned_pdf(["x"]))), (None, encoded(making.pdf([["words"]])))], LIMITS
    )
    shown = await as_seen(image, settings=settings)
    assert (shown.text, shown.pictures[0][0]) == ("", "image/png")
    assert len((await as_seen(scan, settings=settings)).pictures) == 1
    text = await as_seen(layered, settings=settings)
    assert (text.text, text.pictures, text.pages) == ("words", (), 1)


async def test_a_document_that_cannot_be_read_is_named(settings: Settings) -> None:
    [locked] = attachments([], [("a.pdf", encoded(making.pdf([["x"]], password="secret")))], LIMITS)
    for way in (as_text, as_seen):
        with pytest.raises(UnreadableFile) as caught:
            await way(locked, settings=settings)
        assert (caught.value.code, caught.value.param) == ("encrypted_file", "documents.0.data")


async def test_a_picture_without_text_is_empty_text(settings: Settings) -> None:
    [blank] = attachments([encoded(making.picture([]))], [], LIMITS)
    assert (await as_text(blank, settings=settings)).text == ""
