"""Reading text from pictures, in a child process: RapidOCR with the models that its wheel carries."""

import asyncio
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.settings import Settings
from retrievers.images import check_image
from retrievers.rendering import draw

if TYPE_CHECKING:
    from PIL.Image import Image
    from rapidocr import RapidOCR

#: A line that was found: left, right, top, bottom, its text and how sure the reading is (0 to 1).
_Box = tuple[float, float, float, float, str, float]

#: Above what `jobs.parse_memory_bytes` gives to parsing: address space that the OCR models and their runtime take.
MEMORY_BYTES = 3 * 2**30

_MAX_EDGE = 1800
_FINDING_EDGE = 1280
_MIN_SCORE = 0.5
#: Below it the letters may stand on their heads (0.6 to 0.8, against 0.99 of clean print), and another reading counts where it
#: is better by so much.
_SURE = 0.9
_AS_SURE = 0.05
_SAME_LINE = 0.5  # of a line's height
_PARAGRAPH_GAP = 0.9  # of a line's height


async def read_image(data: bytes, *, settings: Settings) -> str:
    """The text in an image, in reading order; empty where there is none.

    Raises:
        UnreadableFile: what `check_image` and decoding raise, `file_too_complex` beyond the limits of time and memory.
    """
    from retrievers.parsing import read_pages

    info = await asyncio.to_thread(check_image, data, settings.limits)
    texts = await read_pages(data, info.media_type, (1,), settings=settings)
    return texts.get(1, "")


def read_pages_here(file: bytes | Path, media_type: str, pages: Sequence[int], max_pixels: int) -> dict[int, str]:
    """Page → text in this process, which must be a child. An image is page 1.

    Raises:
        UnreadableFile: as `rendering.draw`.
    """
    data = file if isinstance(file, bytes) else file.read_bytes()
    texts: dict[int, str] = {}
    for page in pages:
        image = draw(data, media_type, page, max_edge=_MAX_EDGE, max_pixels=max_pixels)
        if image.getextrema() == ((255, 255),) * 3:  # a blank page
            texts[page] = ""
            continue
        texts[page] = in_reading_order([(left, top, bottom, text) for left, _, top, bottom, text, _ in _upright(image)])
    return texts


def _upright(image: "Image") -> list[_Box]:
    """The boxes of a picture that may be turned: where its lines stand on end, or are read badly, it is turned and read again,
    and the better reading counts."""
    found = _boxes(image)
    sure = _sureness(found)
    on_end = _on_end(found)
    if not found or (sure >= _SURE and not on_end):
        return found
    turned = [_boxes(image.rotate(angle, expand=True)) for angle in ((90, 270) if on_end else (180,))]
    best = max(turned, key=_sureness)
    # lines that are written from top to bottom are read well as they stand
    needed = sure - _AS_SURE if on_end else sure + _AS_SURE
    return best if _sureness(best) >= needed and not _on_end(best) else found


def _boxes(image: "Image") -> list[_Box]:
    import numpy

    found: Any = _engine()(numpy.asarray(image)[:, :, ::-1], use_cls=False)
    if found.txts is None:
        return []
    return [
        (min(x for x, _ in box), max(x for x, _ in box), min(y for _, y in box), max(y for _, y in box), text, float(score))
        for box, text, score in zip(found.boxes.tolist(), found.txts, found.scores, strict=True)
        if score >= _MIN_SCORE
    ]


def _sureness(boxes: Sequence[_Box]) -> float:
    """The score of the letters on average (0 to 1)."""
    letters = sum(len(text) for *_, text, _ in boxes)
    return sum(score * len(text) for *_, text, score in boxes) / letters if letters else 0.0


def _on_end(boxes: Sequence[_Box]) -> bool:
    """Whether most lines are higher than wide. A word of a letter or two tells nothing."""
    told = [bottom - top > right - left for left, right, top, bottom, text, _ in boxes if len(text) > 2]
    return sum(told) * 2 > len(told)


def in_reading_order(boxes: Sequence[tuple[float, float, float, str]]) -> str:
    """Text of boxes `(left, top, bottom, text)`: what stands beside each other is a line, a gap ends a paragraph."""
    lines: list[list[tuple[float, float, float, str]]] = []
    for box in sorted(boxes, key=lambda box: box[1] + box[2]):
        middle = (box[1] + box[2]) / 2
        if lines:
            first = lines[-1][0]
            if abs(middle - (first[1] + first[2]) / 2) < _SAME_LINE * min(box[2] - box[1], first[2] - first[1]):
                lines[-1].append(box)
                continue
        lines.append([box])
    text = ""
    bottom = height = 0.0
    for line in lines:
        top = min(box[1] for box in line)
        if text:
            text += "\n\n" if top - bottom > _PARAGRAPH_GAP * height else "\n"
        text += " ".join(box[3].strip() for box in sorted(line))
        bottom = max(box[2] for box in line)
        height = bottom - top
    return text


@lru_cache(maxsize=1)
def _engine() -> "RapidOCR":
    """Loaded once in a child, which then reads further pictures without waiting."""
    from rapidocr import RapidOCR

    return RapidOCR(
        params={
            "Global.log_level": "critical",
            "Global.max_side_len": _MAX_EDGE,
            # the default enlarges small pictures: six times slower, and read no better (signs, invoices, pages; 3.10)
            "Det.limit_type": "max",
            "Det.limit_side_len": _FINDING_EDGE,
            "Rec.rec_batch_num": 1,  # a full page takes 430 MB rather than 690, and a tenth more time
            "EngineConfig.onnxruntime.intra_op_num_threads": 2,
        }
    )
