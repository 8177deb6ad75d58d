import asyncio
import io
from collections.abc import Iterator

import pytest
from PIL import Image

from core.child import close_children
from core.settings import Settings
from retrievers.ocr import read_image
from tests.retrievers import making


@pytest.fixture(scope="module", autouse=True)
def _no_children_left() -> Iterator[None]:
    yield
    close_children()


async def test_a_picture_is_read_whichever_way_it_is_turned(settings: Settings) -> None:
    upright = making.picture(["Invoice number 4711", "Total 42.50 EUR"])
    turned = []
    for angle in (0, 90, 180, 270):
        out = io.BytesIO()
        Image.open(io.BytesIO(upright)).rotate(angle, expand=True).save(out, "PNG")
        turned.append(read_image(out.getvalue(), settings=settings))
    assert set(await asyncio.gather(*turned)) == {"Invoice number 4711\nTotal 42.50 EUR"}
