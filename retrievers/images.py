"""What an image is, by its structure: nothing is decoded here, so that no image can cost more than its own size."""

import struct
from dataclasses import dataclass

from core.errors import UnreadableFile
from core.settings import RequestLimits
from retrievers.sniffing import sniff_image

_MAX_FRAMES_COUNTED = 1000
#: Parts that are walked through; an image of more is left to the decoder.
_MAX_PARTS = 200_000
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
    """What the image says it is. Its content may still turn out to be damaged when it is decoded. Below 0.1 s.

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
    frames, position = 1, 8
    for _ in range(_MAX_PARTS):
        length, kind = struct.unpack_from(">I4s", data, position)
        if kind == b"acTL":
            frames = min(max(struct.unpack_from(">I", data, position + 8)[0], 1), _MAX_FRAMES_COUNTED)
        position += 12 + length
        if kind == b"IEND":
            break
        if position > len(data):
            raise ValueError("cut off")
    return width, height, frames


def _jpeg(data: bytes) -> tuple[int, int, int]:
    position = 2
    size: tuple[int, int] | None = None
    for _ in range(_MAX_PARTS):
        while data[position] != 0xFF or data[position + 1] == 0xFF:
            position = data.index(b"\xff", position + 1)
        marker = data[position + 1]
        position += 2
        if marker in _JPEG_FRAMES and size is None:
            height, width = struct.unpack_from(">HH", data, position + 3)
            size = (width, height)
        if marker in (0xD9, 0xDA):
            break
        if marker not in _JPEG_ALONE:
            position += max(2, struct.unpack_from(">H", data, position)[0])
    if size is None:
        raise ValueError("no frame before the data")
    if data.rfind(b"\xff\xd9") < position:
        raise ValueError("cut off")
    return *size, 1


def _gif(data: bytes) -> tuple[int, int, int]:
    """Frames may be larger than the screen: the largest counts. Later frames may be cut off, the first may not."""
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    position = 13 + _color_table(flags)
    frames = parts = 0
    while frames < _MAX_FRAMES_COUNTED and parts < _MAX_PARTS and position < len(data):
        block = data[position]
        if block == 0x2C:
            left, top, across, down, flags = struct.unpack_from("<HHHHB", data, position + 1)
            position, walked = _after_blocks(data, position + 11 + _color_table(flags))
            if position > len(data):
                break
            width, height = max(width, left + across), max(height, top + down)
            frames += 1
        elif block == 0x21:
            position, walked = _after_blocks(data, position + 2)
        else:
            break
        parts += walked
    if not frames:
        raise ValueError("no whole frame")
    return width, height, frames


def _color_table(flags: int) -> int:
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _after_blocks(data: bytes, position: int) -> tuple[int, int]:
    """The place behind a chain of GIF's sub-blocks, beyond the data where it is cut off; and how many there were."""
    for walked in range(_MAX_PARTS):
        if position >= len(data):
            return len(data) + 1, walked
        if not data[position]:
            return position + 1, walked
        position += data[position] + 1
    return position, _MAX_PARTS


def _webp(data: bytes) -> tuple[int, int, int]:
    if struct.unpack_from("<I", data, 4)[0] + 8 > len(data) + 1:  # some writers leave out the last byte of padding
        raise ValueError("cut off")
    kind = data[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
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
