"""Decoding images and drawing PDF pages. Everything here runs in a child process: it works on a caller's pixels."""

from io import BytesIO
from typing import TYPE_CHECKING

from core.errors import UnreadableFile
from retrievers.loaders.pdf import MEDIA_TYPE as PDF
from retrievers.loaders.pdf import open_pdf
from retrievers.packages import COMPOSED

if TYPE_CHECKING:
    from PIL.Image import Image

_PDF_DPI = 150
_POINTS_PER_INCH = 72


def draw(data: bytes, media_type: str, page: int, *, max_edge: int, max_pixels: int) -> "Image":
    """A page of a PDF, or the first frame of an image, upright, in RGB on white, neither side longer than `max_edge`. A page of
    a file that holds others is that of the one which it belongs to.

    Raises:
        UnreadableFile: `corrupt_file`, `image_too_large`, and what opening a PDF raises.
    """
    if media_type in COMPOSED:
        from retrievers.loaders.parts import picture_of

        data, media_type, page = picture_of(data, media_type, page)
    if media_type == PDF:
        return _draw_page(data, page, max_edge)
    from PIL import Image, ImageOps

    Image.MAX_IMAGE_PIXELS = None  # this process is a child; the limit is ours, checked next
    try:
        with Image.open(BytesIO(data), formats=("PNG", "JPEG", "WEBP", "GIF")) as image:
            if image.width * image.height > max_pixels:
                raise UnreadableFile("The image has too many pixels.", code="image_too_large")
            image.draft("RGB", (max_edge, max_edge))  # a JPEG is decoded at a fraction of its size where that is enough
            image.thumbnail((max_edge, max_edge), reducing_gap=2.0)
            upright = ImageOps.exif_transpose(image)
            with_alpha = upright.convert("RGBA")
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError) as error:  # as Pillow's decoders raise
        raise UnreadableFile("The image is damaged or cut off.", code="corrupt_file") from error
    flat = Image.new("RGB", with_alpha.size, "white")
    flat.paste(with_alpha, mask=with_alpha.getchannel("A"))
    return flat


def render(data: bytes, media_type: str, page: int, max_edge: int, max_pixels: int, max_bytes: int) -> tuple[str, bytes]:
    """The page or image as a model takes it, with its media type: PNG where that is small, else JPEG.

    It is drawn anew, so that what is sent holds no metadata (place, camera) and is sound.
    """
    image = draw(data, media_type, page, max_edge=max_edge, max_pixels=max_pixels)
    out = BytesIO()
    image.save(out, "PNG")
    if out.tell() <= max_bytes:
        return "image/png", out.getvalue()
    for quality in (90, 75, 50, 25):
        out = BytesIO()
        image.save(out, "JPEG", quality=quality)
        if out.tell() <= max_bytes:
            break
    return "image/jpeg", out.getvalue()


def _draw_page(data: bytes, page: int, max_edge: int) -> "Image":
    from pypdfium2 import PdfiumError  # type: ignore[import-untyped]  # it ships no types

    document = open_pdf(data)
    try:
        opened = document[page - 1]
        scale = min(_PDF_DPI / _POINTS_PER_INCH, max_edge / max(*opened.get_size(), 1))
        image: Image = opened.render(scale=scale, rev_byteorder=True, prefer_bgrx=True).to_pil().convert("RGB")
    except (PdfiumError, IndexError) as error:
        raise UnreadableFile(f"Page {page} of the PDF is damaged.", code="corrupt_file") from error
    finally:
        document.close()
    return image
