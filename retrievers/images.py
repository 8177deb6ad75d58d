"""What an image is, by its first bytes: nothing is decoded here, so that no image can cost more than its own size."""

import struct
from dataclasses import dataclass

from core.errors import UnreadableFile
from core.settings import RequestLimits
from retrievers.sniffing import sniff_image

_MAX_FRAMES_COUNTED = 1000
#: JPEG's start-of-frame markers, which carry the size (ITU T.81, table B.1).
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """`width` and `height` in pixels; `frames` of an animation, counted up to 1,000."""

    media_type: str
    width: int
    height: int
    frames: int = 1

    @property
    def pixels(self) -> int:
        return self.width * self.height


def check_image(data: bytes, limits: RequestLimits) -> ImageInfo:
    """What the image says it is. Its content may still turn out to be damaged when it is decoded.

    Raises:
        UnreadableFile: `empty_file`, `unsupported_file_type` (not PNG, JPEG, WebP or GIF), `corrupt_file`, or
            `image_too_large` (more than `limits.image_pixels`).
    """
    if not data:
        raise UnreadableFile("The image is empty.", code="empty_file")
    media_type = sniff_image(data[:32])
    if media_type is None:
        raise UnreadableFile("This is no PNG, JPEG, WebP or GIF image.", code="unsupported_file_type")
    try:
        width, height, frames = _READERS[media_type](data)
    except (struct.error, IndexError, ValueError) as error:
        raise UnreadableFile("The image is damaged.", code="corrupt_file") from error
    if width < 1 or height < 1:
        raise UnreadableFile("The image is damaged: it has no size.", code="corrupt_file")
    if width * height > limits.image_pixels:
        raise UnreadableFile(
            f"The image has {width} x {height} pixels; at most {limits.image_pixels:,} pixels are taken.",
            code="image_too_large",
        )
    return ImageInfo(media_type, width, height, frames)


def _png(data: bytes) -> tuple[int, int, int]:
    if data[12:16] != b"IHDR":
        raise ValueError("no header")
    width, height = struct.unpack_from(">II", data, 16)
    position = data.find(b"acTL", 33, 64 * 1024)
    frames = struct.unpack_from(">I", data, position + 4)[0] if position > 0 else 1
    return width, height, min(max(frames, 1), _MAX_FRAMES_COUNTED)


def _jpeg(data: bytes) -> tuple[int, int, int]:
    position = 2
    while True:
        while data[position] != 0xFF or data[position + 1] == 0xFF:
            position = data.index(b"\xff", position + 1)
        marker = data[position + 1]
        position += 2
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", data, position + 3)
            return width, height, 1
        if marker in (0xD9, 0xDA):
            raise ValueError("no frame before the data")
        if marker not in _JPEG_ALONE:
            position += max(2, struct.unpack_from(">H", data, position)[0])


def _gif(data: bytes) -> tuple[int, int, int]:
    """Frames may be larger than the screen: the largest counts."""
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    position = 13 + _color_table(flags)
    frames = 0
    while frames < _MAX_FRAMES_COUNTED and position < len(data):
        block = data[position]
        if block == 0x2C:
            left, top, across, down, flags = struct.unpack_from("<HHHHB", data, position + 1)
            width, height = max(width, left + across), max(height, top + down)
            frames += 1
            position = _after_blocks(data, position + 11 + _color_table(flags))
        elif block == 0x21:
            position = _after_blocks(data, position + 2)
        else:
            break
    if not frames:
        raise ValueError("no frame")
    return width, height, frames


def _color_table(flags: int) -> int:
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _after_blocks(data: bytes, position: int) -> int:
    """Behind a chain of GIF's sub-blocks; at the end of the data where it is cut off."""
    while position < len(data) and data[position]:
        position += data[position] + 1
    return position + 1


def _webp(data: bytes) -> tuple[int, int, int]:
    kind = data[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
        if len(data) < 30:
            raise ValueError("cut off")
        return width, height, _webp_frames(data) if data[20] & 0x02 else 1
    if kind == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF, 1
    raise ValueError("no known chunk")


def _webp_frames(data: bytes) -> int:
    position, frames = 12, 0
    while position + 8 <= len(data) and frames < _MAX_FRAMES_COUNTED:
        kind, size = struct.unpack_from("<4sI", data, position)
        frames += kind == b"ANMF"
        position += 8 + size + size % 2
    return max(frames, 1)


_READERS = {"image/png": _png, "image/jpeg": _jpeg, "image/gif": _gif, "image/webp": _webp}
