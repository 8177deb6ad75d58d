"""Stored files as answers, sent bit by bit: they may be larger than memory."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from typing import BinaryIO

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

_CHUNK_BYTES = 256 * 2**10


class FileStream(StreamingResponse):
    """Sends the files one after the other, then closes them, also where the caller hangs up before their end."""

    def __init__(self, files: Sequence[BinaryIO], media_type: str) -> None:
        size = sum(os.fstat(file.fileno()).st_size for file in files)
        headers = {"content-length": str(size), "x-content-type-options": "nosniff"}
        super().__init__(_chunks(files), headers=headers, media_type=media_type)
        self._files = files

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with ExitStack() as files:
            for file in self._files:
                files.enter_context(file)
            await super().__call__(scope, receive, send)


async def _chunks(files: Sequence[BinaryIO]) -> AsyncIterator[bytes]:
    for file in files:
        while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
            yield chunk
