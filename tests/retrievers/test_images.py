import struct
import time
from contextlib import suppress

import pytest

from core.errors import UnreadableFile
from core.settings import RequestLimits
from retrievers.images import ImageInfo, check_image
from tests.retrievers import making

LIMITS = RequestLimits()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_the_size_of_an_image_is_told_without_decoding(kind: str) -> None:
    info = check_image(making.picture(["x"], kind, (321, 123)), LIMITS)
    assert info == ImageInfo(f"image/{kind.lower()}", 321, 123)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF"])
def test_the_frames_of_an_animation_are_counted(kind: str) -> None:
    assert check_image(making.picture(["x"], kind, frames=3), LIMITS).frames == 3


@pytest.mark.parametrize("options", [{"lossless": True}, {"exif": b"Exif\x00\x00II*\x00"}, {}])
def test_every_form_of_webp_is_known(options: dict[str, object]) -> None:
    import io

    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (77, 55)).save(out, "WEBP", **options)
    info = check_image(out.getvalue(), LIMITS)
    assert (info.width, info.height) == (77, 55)


def code_of(data: bytes) -> str:
    with pytest.raises(UnreadableFile) as caught:
        check_image(data, LIMITS)
    return caught.value.code


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_an_image_that_is_cut_off_is_corrupt(kind: str, share: float) -> None:
    data = making.picture(["a long line of text", "and another"], kind)
    assert code_of(data[: int(len(data) * share)]) == "corrupt_file"


def test_what_is_no_image_is_refused() -> None:
    assert code_of(b"") == "empty_file"
    assert code_of(b"this is no image") == "unsupported_file_type"
    assert code_of(b"\x89PNG\r\n\x1a\n") == "corrupt_file"
    assert code_of(b"\xff\xd8\xff") == "corrupt_file"


def test_thirty_thousand_pixels_square_are_refused_at_once() -> None:
    data = making.huge_png()
    started = time.perf_counter()
    assert code_of(data) == "image_too_large"
    assert time.perf_counter() - started < 2  # to unpack it takes longer


def test_a_frame_larger_than_its_gif_counts() -> None:
    gif = bytearray(making.picture(["x"], "GIF"))
    at = gif.index(b"\x2c" + struct.pack("<HHHH", 0, 0, 620, 200))
    struct.pack_into("<HHHH", gif, at + 1, 0, 0, 60_000, 60_000)
    assert code_of(bytes(gif)) == "image_too_large"


@pytest.mark.parametrize(
    "data",
    [
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBB", 13, b"IHDR", 9, 9, 1, 0, 0, 0, 0) + bytes(4) + bytes(20_000_000),
        b"GIF89a" + struct.pack("<HHBBB", 9, 9, 0, 0, 0) + b"\x21\xfe" + b"\x01x" * 10_000_000,
        b"\xff\xd8" + b"\xff\xfe\x00\x02" * 5_000_000,
    ],
    ids=["png", "gif", "jpeg"],
)
def test_images_of_millions_of_parts_cost_no_time(data: bytes) -> None:
    started = time.process_time()
    with suppress(UnreadableFile):
        check_image(data, LIMITS)
    assert time.process_time() - started < 1
